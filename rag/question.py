"""What a question asks for: its words that carry meaning, and whether it leans on what was said before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.lexical import words

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
_CONTINUES = re.compile(r"^(and|but|or|so|also|then|what about|how about|why|what else|more|ok|okay|yes|no)\b", re.I)
_SHORT_WORDS = 3
_MOST_EARLIER_CHARACTERS = 500


@dataclass(frozen=True)
class Question:
    """`text` is what is asked, standing alone; `terms` are its words of meaning, in order, each once; `completed` says
    that an earlier question was needed to make it stand alone."""

    text: str
    terms: tuple[str, ...]
    completed: bool = False


def understand(text: str, earlier_questions: Sequence[str] = ()) -> Question:
    """The question as retrieval reads it; a follow-up takes in the question before it."""
    text = " ".join(text.split())
    if earlier_questions and _leans_on_earlier(text):
        standalone = f"{earlier_questions[-1].strip()[-_MOST_EARLIER_CHARACTERS:]} {text}"
        return Question(standalone, meaningful(standalone), completed=True)
    return Question(text, meaningful(text))


def meaningful(text: str) -> tuple[str, ...]:
    """The words of meaning, each once; all words when none of them is one ("What is it?")."""
    found = list(dict.fromkeys(words(text)))
    return tuple([word for word in found if word not in _EMPTY_WORDS] or found)


def _leans_on_earlier(text: str) -> bool:
    """By rule: it begins like a continuation, points back with a pronoun, or hardly says anything by itself."""
    found = words(text)
    own = [word for word in found if word not in _EMPTY_WORDS]
    if _CONTINUES.match(text) or len(own) < _SHORT_WORDS - 1:
        return True
    return len(own) < _SHORT_WORDS + 2 and any(word in _POINTERS for word in found)


def stem(word: str) -> str:
    """A crude stem, enough to tell whether a word of the question is there: plural and verb endings fall."""
    for ending in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word
