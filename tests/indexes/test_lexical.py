from __future__ import annotations

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.collection import Collection
from indexes.lexical import path_words, words


def search(collection: Collection, question: str) -> list[str]:
    found = collection.lexical.search_chunks(words(question), 10)
    chunks = collection.chunks([chunk_id for chunk_id, _ in found])
    return [chunks[chunk_id].text for chunk_id, _ in found]


def require_whole(collection: Collection) -> None:
    """FTS5's own check of its index; raises when an entry was half removed."""
    with collection.database.write() as connection:
        for table in ("chunk_lexical_1", "document_lexical_1"):
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("The dentist was paid", "paying dentists"),
        ("Über die Straße gehen", "uber"),
        ("Un café crème", "CREME"),
        (unicodedata.normalize("NFD", "résumé"), unicodedata.normalize("NFC", "résumé")),
        (unicodedata.normalize("NFC", "résumés"), unicodedata.normalize("NFD", "résumés")),
        ("東京都の人口", "人口"),
        ("ภาษาไทย", "ไทย"),
        ("set max_tokens=5 there", "max_tokens"),
        ("Section 12.3 applies", "12.3"),
    ],
)
def test_words_are_found_in_all_their_forms(filler, text: str, question: str) -> None:
    filler.publish("a.txt", text)
    filler.publish("b.txt", "nothing of the kind")
    assert search(filler.collection, question) == [text]


def test_words_come_lower_case_with_unspaced_scripts_apart() -> None:
    assert words("Tokyo 東京!  e\u0301tude") == ["tokyo", "東", "京", "étude"]


def test_the_text_that_holds_more_of_the_rare_words_comes_first(filler) -> None:
    filler.publish("a.txt", "plan plan plan", "plan for dental care", "care")
    assert search(filler.collection, "dental care plan")[0] == "plan for dental care"
    scores = [score for _, score in filler.collection.lexical.search_chunks(["dental", "care"], 10)]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("docs/AnnualReport_2023.pdf", "docs Annual Report 2023 pdf"),
        ("3M_2018_10K.pdf", "3 M 2018 10 K pdf"),
        (unicodedata.normalize("NFD", "Prüfbericht-Köln.txt"), "Prüfbericht Köln txt"),
        ("...", ""),
    ],
)
def test_paths_fall_into_words(path: str, found: str) -> None:
    assert path_words(path) == found


def test_documents_are_found_by_name_and_title(filler) -> None:
    first = filler.publish("reports/AcmeCorp_2023.pdf", "text", title="Letter to shareholders").id
    second = filler.publish("reports/Other_2022.pdf", "text of another").id
    lexical = filler.collection.lexical
    assert [i for i, _ in lexical.search_documents(["acme"], 5)] == [first]
    assert [i for i, _ in lexical.search_documents(["shareholder"], 5)] == [first]
    assert {i for i, _ in lexical.search_documents(["reports"], 5)} == {first, second}


def test_frequencies_count_chunks(filler) -> None:
    filler.publish("a.txt", "cat cat", "cats and dogs", "dogs")
    assert filler.collection.lexical.frequencies(["cat", "dog", "cow"]) == {"cat": 2, "dog": 2, "cow": 0}
    assert filler.collection.lexical.chunk_count() == 3


@pytest.mark.parametrize(
    "term", ['" OR text:secret OR "', "*", "secret*", "NEAR(a b)", "text : secret", "-", '"', "\0secret", "^a", ")", ""]
)
def test_no_term_is_read_as_an_operator(filler, term: str) -> None:
    filler.publish("a.txt", "harmless", title="harmless")
    filler.publish("b.txt", "secretive near or text a b")
    lexical = filler.collection.lexical
    harmless = filler.chunk_ids("a.txt")
    assert [i for i, _ in lexical.search_chunks([term, "harmless"], 5)][:1] == harmless
    lexical.search_documents([term], 5)
    lexical.frequencies([term])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(max_size=30))
def test_any_question_can_be_searched(collection: Collection, question: str) -> None:
    collection.lexical.search_chunks(words(question) or [question], 5)
    collection.lexical.search_documents([question], 5)


def test_removal_is_exact(filler) -> None:
    texts = [f"common rare{i} 東京 Äpfel {'x' * i}" for i in range(450)]
    filler.publish("a.txt", *texts)
    filler.publish("b.txt", "common stays")
    filler.remove("a.txt")
    filler.tidy()
    require_whole(filler.collection)
    assert filler.collection.lexical.indexed_chunks() == set(filler.chunk_ids("b.txt"))
    assert search(filler.collection, "common rare7") == ["common stays"]


def test_a_content_is_indexed_and_removed_once_however_often_it_is_asked(filler) -> None:
    content_id = filler.publish("a.txt", "some words").content_id
    lexical = filler.collection.lexical
    lexical.add_content(content_id)
    lexical.add_content(content_id)
    assert lexical.frequencies(["word"]) == {"word": 1}
    lexical.remove_content(content_id)
    lexical.remove_content(content_id)
    assert lexical.frequencies(["word"]) == {"word": 0}
    require_whole(filler.collection)
