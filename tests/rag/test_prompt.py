"""The prompt: passages first, and the whole within the model's context by its own tokenizer."""

from __future__ import annotations

import pytest

from models.interfaces import ChatMessage
from rag.appliance import Appliance
from rag.events import Answer, Passage
from rag.prompt import ANSWER_TOKENS, build_prompt, last_read
from tests.rag.conftest import ScriptedModel, found_on, stored_page

HITS = [found_on(stored_page("word " * 150, id=i), chunk_id=i) for i in range(1, 30)]
HISTORY = [ChatMessage(role, f"{role} " * 40) for _ in range(20) for role in ("user", "assistant")]


def size(model: ScriptedModel, messages: tuple[ChatMessage, ...]) -> int:
    return sum(model.count_tokens(message.content) + 8 for message in messages)


@pytest.mark.parametrize("context", [700, 1000, 2000, 4000, 8000])
def test_prompt_and_answer_fit_the_context(context: int) -> None:
    model = ScriptedModel(context_tokens=context)
    prompt = build_prompt("Who pays?", HITS, HISTORY, model)
    assert size(model, prompt.messages) + ANSWER_TOKENS <= context
    assert prompt.used == tuple(HITS[: len(prompt.used)])


def test_passages_come_before_history() -> None:
    few = build_prompt("Who pays?", HITS[:2], HISTORY, ScriptedModel(context_tokens=1500))
    assert len(few.used) == 2
    roles = [message.role for message in few.messages]
    assert roles[:3] == ["system", "user", "assistant"], "what is left of the history begins with a question"
    assert few.messages[1].content.index("word") < few.messages[1].content.index(HISTORY[0].content)
    assert few.messages[-2:] == (HISTORY[-1], ChatMessage("user", "Who pays?"))
    many = build_prompt("Who pays?", HITS, HISTORY, ScriptedModel(context_tokens=1500))
    assert [message.role for message in many.messages] == ["system", "user"]


def test_a_follow_up_over_the_same_passages_begins_with_what_the_engine_has_read() -> None:
    model = ScriptedModel(context_tokens=4000)
    first = build_prompt("Who pays?", HITS[:4], [], model)
    history = [ChatMessage("user", "Who pays?"), ChatMessage("assistant", "The Board.")]
    second = build_prompt("And when?", HITS[:4], history, model)
    assert second.messages == (*first.messages, history[1], ChatMessage("user", "And when?"))


def test_passages_that_were_read_before_stand_first_again_in_their_old_order() -> None:
    prompt = build_prompt("And when?", HITS[:5], [], ScriptedModel(context_tokens=4000), already_read=(4, 99, 2))
    assert [hit.chunk.chunk_id for hit in prompt.used] == [4, 2, 1, 3, 5]


def test_a_question_that_fills_the_context_leaves_no_room_for_passages() -> None:
    assert build_prompt("why " * 5000, HITS, HISTORY, ScriptedModel(context_tokens=1000)).used == ()


def test_the_real_tokenizer_counts(appliance: Appliance) -> None:
    model = appliance._models.chat_model()
    prompt = build_prompt("Wer zahlt für die Laterne? 灯塔", HITS, HISTORY, model)
    counted = sum(model.count_tokens(message.content) for message in prompt.messages)
    assert model.context_tokens * 0.8 < counted + ANSWER_TOKENS <= model.context_tokens


def test_the_order_of_reading_is_followed_through_a_conversation() -> None:
    def turn(*chunk_ids: int) -> Answer:
        passages = tuple(Passage("a.txt", None, 1, 1, "text", 1.0, each, 1, 1, "") for each in chunk_ids)
        return Answer("Why?", "So.", "generate", False, 1.0, (), passages, "m")

    assert last_read([]) == ()
    assert last_read([turn(1, 2, 3)]) == (1, 2, 3)
    assert last_read([turn(1, 2, 3), turn(4, 3, 1)]) == (1, 3, 4)
    assert last_read([turn(1, 2, 3), turn(4, 3, 1), turn(1, 2, 4)]) == (1, 4, 2)
