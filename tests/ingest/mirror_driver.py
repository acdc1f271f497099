"""The process that the property test kills: it mirrors folders, as `ingest.worker` does, and saves the dense cache
afterwards, as the owner of a data folder does. So one SIGKILL ends them both.

It says when it is ready. Then a line of JSON on standard input asks for a mirror (`home`, `folder`); a line comes for
each event, and one with `done`.
The embedder needs no weights and always gives the same vector for the same text.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.database import Database
from indexes.library import Library
from ingest.events import IngestEvent, to_json
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.pipeline import Pipeline
from models.cancellation import CancelToken

COLLECTION = "default"
EMBED_S = 0.003
"""For each text: long enough for a SIGKILL to come in between."""


class HashEmbedder:
    """A vector made of the text's hash; words are tokens. The window is small (40 tokens of it are kept for headings),
    so that short files have many chunks."""

    identity = "hash"
    dimension = 16
    window_tokens = 70

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(EMBED_S * len(texts))
        return self.embed_queries(texts)

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        digests = b"".join(hashlib.shake_128(text.encode()).digest(self.dimension) for text in texts)
        vectors = np.frombuffer(digests, dtype=np.uint8).reshape(len(texts), self.dimension).astype(np.float32) - 127.5
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]


@dataclass
class Product:
    """What an owner holds open over one data folder, until it is killed."""

    library: Library
    pipeline: Pipeline

    @classmethod
    def open(cls, home: Path, pool: ParserPool) -> Product:
        embedder = HashEmbedder()
        library = Library(Database(home / "lectern.sqlite"), home / "indexes")
        library.ensure(COLLECTION, embedder=embedder.identity, dimension=embedder.dimension)
        return cls(library, Pipeline(library, pool, embedder, readers=2, report=report))

    def mirror(self, folder: Path) -> dict[str, object]:
        """The counts, and the ids that the dense index has in memory, having followed the log."""
        done = self.pipeline.mirror(COLLECTION, folder, hidden=False, rules=(), cancel=CancelToken())
        dense = self.library.collection(COLLECTION).dense
        dense.save()
        return {"counts": done.counts, "dense": dense.ids().tolist()}


def report(event: IngestEvent) -> None:
    say(to_json(event))


def say(message: dict[str, object]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def main() -> None:
    pool = ParserPool(2, Limits(), niceness=0)
    products: dict[str, Product] = {}
    say({"event": "ready"})
    for line in sys.stdin:
        request = json.loads(line)
        home = request["home"]
        if home not in products:
            products[home] = Product.open(Path(home), pool)
        say({"done": products[home].mirror(Path(request["folder"]))})
        if request.get("last"):
            products.pop(home).library.close()
    os._exit(0)  # nothing is lost: the database is whole at any moment


if __name__ == "__main__":
    main()
