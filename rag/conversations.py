"""Conversations, turns and citations, kept in the database: an answer stays readable whatever becomes of the files."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from indexes.database import Database
from rag.access import Identity, require_own
from rag.citations import PlacedCitation
from rag.errors import NotFound
from rag.events import Answer, Citation

_TITLE_CHARACTERS = 80


@dataclass(frozen=True)
class ConversationInfo:
    id: str
    title: str
    updated_at: float


@dataclass(frozen=True)
class StoredCitation:
    """A citation with its place, as it was when the answer was given."""

    citation: Citation
    document_id: int
    content_id: int
    page_id: int
    start: int
    end: int
    collection: str
    heading: str


class ConversationStore:
    """Every method takes the identity and gives out only what is its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, identity: Identity, collection_id: int) -> str:
        """A new conversation's id; it shows in `all` once it has a turn."""
        conversation_id = secrets.token_urlsafe(16)
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO conversation (id, user_id, collection_id, updated_at) VALUES (?, ?, ?, ?)",
                (conversation_id, identity.user_id, collection_id, time.time()),
            )
        return conversation_id

    def all(self, identity: Identity) -> list[ConversationInfo]:
        """The identity's conversations that have turns, newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, title, updated_at FROM conversation WHERE user_id = ? AND title <> '' "
                "ORDER BY updated_at DESC",
                (identity.user_id,),
            ).fetchall()
        return [ConversationInfo(row["id"], row["title"], row["updated_at"]) for row in rows]

    def turns(self, identity: Identity, conversation_id: str) -> list[Answer]:
        """The answers of a conversation, oldest first. Raises NotFound, Forbidden."""
        self._require(identity, conversation_id)
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT answer FROM turn WHERE conversation_id = ? ORDER BY created_at", (conversation_id,)
            ).fetchall()
        return [TypeAdapter(Answer).validate_json(row["answer"]) for row in rows]

    def add_turn(
        self,
        identity: Identity,
        collection_id: int,
        conversation_id: str | None,
        answer: Answer,
        placed: Sequence[PlacedCitation],
    ) -> None:
        """Store an answer with its citations, within a conversation or by itself."""
        if conversation_id is not None:
            self._require(identity, conversation_id)
        turn_id = secrets.token_urlsafe(16)
        now = time.time()
        with self._database.write() as connection:
            connection.execute(
                """INSERT INTO turn (id, user_id, collection_id, conversation_id, created_at, question, answer)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                (
                    turn_id,
                    identity.user_id,
                    collection_id,
                    conversation_id,
                    now,
                    answer.question,
                    json.dumps(asdict(answer)),
                ),
            )
            # A content that was replaced and discarded while the answer was made can no longer be cited.
            connection.executemany(
                """INSERT INTO citation (id, turn_id, n, document_id, file, version, content_id, page_id, chunk_id,
                       start, "end", quote, verified)
                   SELECT ?, ?, ?, ?, ?, ?, content_id, id, ?, ?, ?, ?, ? FROM page WHERE id = ?""",
                [
                    (
                        item.citation.id,
                        turn_id,
                        item.citation.n,
                        item.document_id,
                        item.citation.file,
                        item.citation.version,
                        item.citation.chunk_id,
                        item.start,
                        item.end,
                        item.citation.quote,
                        int(item.citation.verified),
                        item.page_id,
                    )
                    for item in placed
                ],
            )
            connection.execute(
                "UPDATE conversation SET updated_at = ?, title = CASE title WHEN '' THEN ? ELSE title END WHERE id = ?",
                (now, answer.question[:_TITLE_CHARACTERS], conversation_id),
            )

    def citation(self, identity: Identity, citation_id: str) -> StoredCitation:
        """Raises NotFound, Forbidden."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT citation.*, page.number, page.part, turn.user_id, collection.name AS collection,
                       coalesce(chunk.heading, '') AS heading
                   FROM citation JOIN turn ON turn.id = turn_id JOIN collection ON collection.id = turn.collection_id
                   JOIN page ON page.id = page_id LEFT JOIN chunk ON chunk.id = chunk_id WHERE citation.id = ?""",
                (citation_id,),
            ).fetchone()
        if row is None:
            raise NotFound("There is no such citation; its conversation may have been removed.")
        require_own(identity, row["user_id"], "This citation")
        citation = Citation(
            id=row["id"],
            n=row["n"],
            file=row["file"],
            part=row["part"],
            page=row["number"],
            quote=row["quote"],
            chunk_id=row["chunk_id"],
            version=row["version"],
            verified=bool(row["verified"]),
        )
        return StoredCitation(
            citation,
            document_id=row["document_id"],
            content_id=row["content_id"],
            page_id=row["page_id"],
            start=row["start"],
            end=row["end"],
            collection=row["collection"],
            heading=row["heading"],
        )

    def _require(self, identity: Identity, conversation_id: str) -> None:
        with self._database.read() as connection:
            row = connection.execute("SELECT user_id FROM conversation WHERE id = ?", (conversation_id,)).fetchone()
        if row is None:
            raise NotFound("There is no such conversation.")
        require_own(identity, row["user_id"], "This conversation")
