"""What a question asks for, alone or after another."""

from __future__ import annotations

import pytest

from rag.question import understand, years


def test_a_question_of_its_own_stays_as_it_is() -> None:
    asked = understand("  Who pays for\na broken lens? ", ["How high is the tower?"])
    assert (asked.text, asked.completed) == ("Who pays for a broken lens?", False)
    assert asked.terms == ("pays", "broken", "lens")


@pytest.mark.parametrize(
    "follow_up",
    ["And in winter?", "What about dental care?", "Why?", "How long does it last?", "Who pays for them?", "more"],
)
def test_a_follow_up_takes_in_the_question_before_it(follow_up: str) -> None:
    asked = understand(follow_up, ["Who is Anne?", "What does the premium cover?"])
    assert asked.completed
    assert asked.text == f"What does the premium cover? {follow_up}"
    assert "premium" in asked.terms


def test_a_first_question_is_never_completed() -> None:
    assert not understand("Why?").completed


def test_words_that_carry_no_meaning_count_only_when_there_are_no_others() -> None:
    assert understand("What is it?").terms == ("what", "is", "it")
    assert understand("What is the lens?").terms == ("lens",)


def test_each_term_is_there_once() -> None:
    assert understand("lens or Lens or LENS").terms == ("lens",)


def test_a_chain_of_follow_ups_keeps_to_the_question_that_stands_alone() -> None:
    earlier = ["What was the revenue of Nike in fiscal 2021?", "And in fiscal 2020?"]
    asked = understand("And in fiscal 2019?", earlier)
    assert asked.text == "What was the revenue of Nike in fiscal 2021? And in fiscal 2019?"


def test_a_follow_up_asked_again_is_read_as_the_first_time() -> None:
    earlier = ["What does the premium cover?", "And for families?", "Who was Napoleon Bonaparte of France?"]
    assert understand("And for families?", earlier).text == "What does the premium cover? And for families?"


def test_a_whole_question_stands_alone_whatever_it_begins_with() -> None:
    assert not understand("Why do ducks dive for food?", ["What does the premium cover?"]).completed


def test_years_are_found_in_names_of_fiscal_years_too() -> None:
    assert years("FY2018 against 2019, not 12019 or 20190") == {"2018", "2019"}
