"""What a question asks for: its words that carry meaning, and whether it leans on what was said before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.lexical import words
from rag.errors import BadInput

# Function words of English, and the words that questions are made of; they say nothing about the subject.
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a about above after again against all also am an and any are as at be because been before being below between
        both but by can could did do does doing down during each few for from further had has have having he her here
        hers him his how i if in into is it its itself just let me more most my no nor not now of off on once only or
        other our ours out over own please same shall she should so some such tell than that the their theirs them then
        there these they this those through to too under until up us very was we were what when where which while who
        whom whose why will with would you your yours done
        make makes made get gets got much many give explain describe list s t re ve ll d m""",
    )
)
_POINTERS = frozenset(
    ("it", "its", "they", "them", "their", "this", "that", "these", "those", "he", "him", "his", "she", "her", "there")
)
_CONTINUES = re.compile(r"^(and|but|or|also|what about|how about|what else|more)\b", re.I)
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_FEW_WORDS = 5  # a question with as many words of meaning of its own stands alone, whatever it begins with
_MOST_EARLIER_CHARACTERS = 500
MOST_QUESTION_CHARACTERS = 8000


@dataclass(frozen=True)
class Question:
    """`text` is what is asked, standing alone; `terms` are its words of meaning, in order, each once; `completed` says
    that an earlier question was needed to make it stand alone."""

    text: str
    terms: tuple[str, ...]
    completed: bool = False


def require_askable(question: str) -> None:
    """Raises BadInput when there is nothing to ask, too much to read, or no text at all."""
    if not question.strip():
        raise BadInput("The question is empty. Write what you want to know.")
    if not question.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in question):
        raise BadInput("The question is not valid Unicode: it holds half a surrogate pair, or a byte that is no UTF-8.")
    if len(question) > MOST_QUESTION_CHARACTERS:
        raise BadInput(
            f"The question has {len(question):,} characters; at most {MOST_QUESTION_CHARACTERS:,} are read. "
            "Put a long text into a file of the folder, and ask about it."
        )


def understand(text: str, earlier_questions: Sequence[str] = ()) -> Question:
    """The question as retrieval reads it. A follow-up takes in the last question before it that stands alone, so that
    "And in 2019?" after "And in 2020?" still asks what the first one asked. A question that was asked before is read
    as it was read then."""
    text = " ".join(text.split())
    earlier = list(earlier_questions)
    if text in earlier:
        earlier = earlier[: earlier.index(text)]
    if earlier and _leans_on_earlier(text):
        complete = next((asked for asked in reversed(earlier) if not _leans_on_earlier(asked)), earlier[0])
        standalone = f"{complete.strip()[-_MOST_EARLIER_CHARACTERS:]} {text}"
        return Question(standalone, meaningful(standalone), completed=True)
    return Question(text, meaningful(text))


def years(text: str) -> set[str]:
    """The years that stand in the text, also in "FY2018"."""
    return set(_YEAR.findall(text))


def meaningful(text: str) -> tuple[str, ...]:
    """The words of meaning, each once; all words when none of them is one ("What is it?")."""
    found = list(dict.fromkeys(words(text)))
    return tuple([word for word in found if word not in _EMPTY_WORDS] or found)


def _leans_on_earlier(text: str) -> bool:
    """By rule: it hardly says anything by itself, or says little and begins like a continuation or points back."""
    found = words(text)
    own = [word for word in found if word not in _EMPTY_WORDS]
    if len(own) < 2:
        return True
    points_back = any(word in _POINTERS for word in found)
    return len(own) < _FEW_WORDS and (points_back or bool(_CONTINUES.match(text)))


def stem(word: str) -> str:
    """A crude stem, enough to tell whether a word of the question is there: plural and verb endings fall."""
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
