"""
IngestError                 what a folder or a file can do to us; each has the state that its file is shown in
├── FolderMissing               the folder is not there, or is not a folder
├── Paused                      the collection was told to wait
├── BadRule                     a line that says what to leave out cannot be understood
├── Unsupported                 nothing here reads this kind of file
├── Encrypted                   a password or a right is missing
├── Unreadable                  damaged, empty, or not what it says it is
├── NotNow                      for the moment it cannot be read; trying again may help
│   ├── Vanished                    it was there a moment ago
│   └── ParserKilled                the system killed the parser, for reasons that need not be the file's
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


class BadRule(IngestError):
    code = "bad_rule"


class Paused(IngestError):
    code = "paused"


class Unsupported(IngestError):
    code = "unsupported"
    state = "skipped"


class Encrypted(IngestError):
    code = "encrypted"


class Unreadable(IngestError):
    code = "unreadable"


class NotNow(IngestError):
    code = "not_now"


class Vanished(NotNow):
    pass


class LimitReached(IngestError):
    code = "limit_reached"


class ParserUnavailable(IngestError):
    code = "parser_unavailable"


class ParserKilled(NotNow):
    code = "parser_killed"


class ParserDied(IngestError):
    code = "parser_died"
    state = "quarantined"
