"""
RagError                what can go wrong between a question and its answer; each has a code for programs
├── BadInput            an argument makes no sense; the message says which and what to do
├── NotFound            no such citation, conversation, file or question set
├── Forbidden           the asker may not see it
├── UnknownCollection   no collection of that name, or none that the asker may see
├── UnknownModel        no model of that name answers here
├── Busy                work under way would not stop in time; the message says which
├── OwnerBusy           another process owns the data folder and cannot be asked
└── OwnerGone           the process that ran the command ended before the command did
"""

from __future__ import annotations

from typing import ClassVar


class RagError(Exception):
    code: ClassVar[str] = "rag_error"


class BadInput(RagError):
    code = "bad_input"


class NotFound(RagError):
    code = "not_found"


class Forbidden(RagError):
    code = "forbidden"


class UnknownCollection(NotFound):
    code = "collection_not_found"


class UnknownModel(NotFound):
    code = "model_not_found"


class Busy(RagError):
    code = "busy"


class OwnerBusy(RagError):
    code = "owner_busy"


class OwnerGone(RagError):
    code = "owner_gone"
