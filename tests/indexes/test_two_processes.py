"""One process writes, as the ingest worker does, while another one searches and stores citations."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from indexes.collection import Collection

HERE = Path(__file__).resolve().parent
WRITER = """if True:
    import random, sys, time
    from pathlib import Path
    from conftest import Filler
    from indexes.database import Database
    from indexes.library import Library

    home = Path(sys.argv[1])
    filler = Filler(Library(Database(home / "lectern.sqlite"), home / "cache").collection("papers"))
    dice, files, end = random.Random(1), set(), time.monotonic() + 1.5
    while time.monotonic() < end:
        path = f"{dice.randrange(6)}.txt"
        if path in files and dice.random() < 0.4:
            filler.remove(path)
            files.remove(path)
        else:
            filler.publish(path, *[f"word {dice.randrange(40)} of {path}" for _ in range(dice.randrange(1, 30))])
            files.add(path)
        filler.embed()
        if dice.random() < 0.5:
            filler.tidy()
    filler.tidy()
"""


def cite(collection: Collection, page_id: int, name: str) -> None:
    """As `rag.conversations` stores a citation, if the page is still there."""
    with collection.database.write() as connection:
        connection.execute(
            """INSERT OR IGNORE INTO turn (id, user_id, collection_id, created_at, question, answer)
               VALUES ('t', 1, ?, 0, '', '{}')""",
            (collection.id,),
        )
        connection.execute(
            """INSERT INTO citation (id, turn_id, n, document_id, file, version, content_id, page_id, chunk_id, start,
                   "end", quote, verified)
               SELECT ?, 't', 1, 1, 'a', 1, content_id, id, 1, 0, 1, 'x', 1 FROM page WHERE id = ?""",
            (name, page_id),
        )


def test_searches_stay_whole_while_another_process_writes(collection: Collection) -> None:
    home = collection.database.path.parent
    path = f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
    writer = subprocess.Popen([sys.executable, "-c", path + WRITER, home], stderr=subprocess.PIPE, text=True)
    query = np.ones(8, dtype=np.float32) / np.sqrt(np.float32(8))
    searches = found = 0
    while writer.poll() is None:
        by_meaning = collection.dense.search(query, 20)[0].tolist()
        by_words = [chunk_id for chunk_id, _ in collection.lexical.search_chunks(["word"], 20)]
        chunks = collection.chunks([*by_meaning, *by_words])
        for chunk in chunks.values():
            assert chunk.file in chunk.text
            page = collection.contents.page(chunk.spans[0][0])
            assert page is None or page.text == chunk.text
        if chunks and searches % 20 == 0:
            cite(collection, next(iter(chunks.values())).spans[0][0], str(searches))
        searches, found = searches + 1, found + len(chunks)
        time.sleep(0.001)
    assert writer.communicate()[1] == ""
    assert searches > 20
    assert found > searches

    live = {i for row in collection.documents.all() for i in collection.chunks_of_documents([row.id])[row.id]}
    assert collection.dense.ids().tolist() == sorted(live)
    assert collection.lexical.indexed_chunks() == live
    with collection.database.read() as connection:
        cited = "SELECT count(*) FROM citation WHERE page_id NOT IN (SELECT id FROM page)"
        assert connection.execute(cited).fetchone()[0] == 0
        assert {row[0] for row in connection.execute("SELECT id FROM chunk")} == live
