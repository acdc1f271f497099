"""Which contents a collection can find: those that are the searchable version of one of its documents."""

from __future__ import annotations

LIVE_CONTENTS = """SELECT version.content_id FROM folder JOIN document ON document.folder_id = folder.id
    JOIN version ON version.id = document.version_id WHERE folder.collection_id = :collection"""
"""A subquery: all of them. Its statement must bind `:collection`."""


def is_live(content: str) -> str:
    """A condition on one content, an SQL expression for its id; quick without a list of all. Its statement must bind
    `:collection`."""
    # CROSS JOIN: in this order. SQLite, which keeps no statistics here, would begin with all documents of the folder.
    return f"""EXISTS (SELECT 1 FROM version CROSS JOIN document ON document.version_id = version.id
        CROSS JOIN folder ON folder.id = document.folder_id
        WHERE version.content_id = {content} AND folder.collection_id = :collection)"""
