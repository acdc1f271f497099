"""One answer from beginning to end: its parts made ready, its story told, its turn stored, its failure an event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from indexes.collection import Collection
from indexes.errors import StorageError
from models.cancellation import Cancelled, CancelToken
from models.errors import ModelError
from models.interfaces import ChatMessage, Embedder
from rag.access import Identity
from rag.answer import Answered, Answerer
from rag.conversations import ConversationStore
from rag.errors import RagError
from rag.events import Answer, Done, Event, Failed, Mode
from rag.loaded_models import LoadedModels
from rag.salting import Salts

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """A question that may be asked. `model` is the id of the language model that is to write, None for any.
    `already_read` is what the conversation's last prompt began with, as `rag.prompt.last_read` tells it."""

    question: str
    identity: Identity
    collection: str
    mode: Mode
    model: str | None
    history: tuple[ChatMessage, ...]
    already_read: tuple[int, ...]
    conversation: str | None


class Answering:
    """`searchable` gives a collection with the embedder of its vectors."""

    def __init__(
        self,
        models: LoadedModels,
        conversations: ConversationStore,
        salts: Salts,
        searchable: Callable[[str], tuple[Collection, Embedder]],
    ) -> None:
        self._models = models
        self._conversations = conversations
        self._salts = salts
        self._searchable = searchable

    def answer(self, asked: Asked, cancel: CancelToken) -> Iterator[Event]:
        """Ends with `Done`, or with `Failed` when it was stopped or cannot be given."""
        try:
            yield from self._told(asked, cancel)
        except Cancelled:
            yield Failed("cancelled", "Stopped.")
        except RagError as exc:
            yield Failed(exc.code, str(exc))
        except (ModelError, StorageError) as exc:
            _log.warning("the question could not be answered: %s", exc)
            yield Failed("not_ready", str(exc))

    def _told(self, asked: Asked, cancel: CancelToken) -> Iterator[Event]:
        collection, embedder = self._searchable(asked.collection)
        writes = asked.mode == "generate"
        events = Answerer(self._models.retriever(), embedder).answer(
            asked.question,
            collection,
            mode=asked.mode,
            model=self._models.chat_model(asked.model) if writes else None,
            history=asked.history,
            already_read=asked.already_read,
            salt=self._salts.of(asked.identity) if writes else None,
            cancel=cancel,
        )
        for event in events:
            if isinstance(event, Answered):
                placed = event.citations.placed
                self._conversations.add_turn(asked.identity, collection.id, asked.conversation, event.answer, placed)
                yield Done(event.answer)
            else:
                yield event


def messages_of(turns: Sequence[Answer]) -> list[ChatMessage]:
    """Earlier turns as a language model reads them."""
    return [
        message
        for turn in turns
        for message in (ChatMessage("user", turn.question), ChatMessage("assistant", turn.text))
    ]
