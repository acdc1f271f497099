"""
IngestError                 what a folder or a file can do to us; each has the state that its file is shown in
├── FolderMissing               the folder is not there, or is not a folder
├── Unsupported                 nothing here reads this kind of file
├── Encrypted                   a password or a right is missing
├── Unreadable                  damaged, empty, vanished, or not what it says it is
├── LimitReached                larger than what the settings allow to read
├── ParserUnavailable           no parser process starts; nothing is wrong with the file
└── ParserDied                  the file killed its parser process (memory, time, crash)
"""

from __future__ import annotations

from typing import ClassVar, Literal

FileState = Literal["skipped", "failed", "quarantined"]


class IngestError(Exception):
    """Base. `code` is for programs, the message for people: what failed, which value, what to do."""

    code: ClassVar[str] = "ingest_error"
    state: ClassVar[FileState] = "failed"


class FolderMissing(IngestError):
    code = "folder_missing"


class Unsupported(IngestError):
    code = "unsupported"
    state = "skipped"


class Encrypted(IngestError):
    code = "encrypted"


class Unreadable(IngestError):
    code = "unreadable"


class LimitReached(IngestError):
    code = "limit_reached"


class ParserUnavailable(IngestError):
    code = "parser_unavailable"


class ParserDied(IngestError):
    code = "parser_died"
    state = "quarantined"
