"""Retrieval: by meaning and by words, of live documents only."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ingest.events import MirrorDone
from models.cancellation import CancelToken
from models.errors import ModelError
from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.errors import BadInput, UnknownCollection
from rag.question import understand
from rag.retrieval import Retriever

Own = tuple[Appliance, Path]


def test_a_rare_word_finds_its_document(appliance: Appliance) -> None:
    passages, _ = appliance.search("Gannet", identity=LOCAL_USER, k=3)
    assert "sample/guides/lighthouse.txt" in [passage.file for passage in passages]


def test_meaning_finds_where_no_word_is_the_same(own_appliance: Own) -> None:
    appliance, _ = own_appliance
    collection = appliance.collection("default", identity=LOCAL_USER)
    found = Retriever(appliance.embedder()).retrieve(collection, understand("Illumination begins at dusk?"), 5).found
    assert [hit.chunk.file for hit in found] == ["lens.txt"]
    assert found[0].lexical == 0


def test_passages_come_best_first_with_their_place(appliance: Appliance) -> None:
    passages, timings = appliance.search("dental coverage", identity=LOCAL_USER, k=5)
    assert len(passages) == 5
    assert [p.score for p in passages] == sorted((p.score for p in passages), reverse=True)
    assert passages[0].file == "handbooks/Northwind_Standard_Benefits_Details.pdf"
    assert passages[0].page is not None
    assert timings.keys() == {"embed", "dense", "lexical", "fuse"}


def test_more_are_given_than_are_looked_for_by_default(appliance: Appliance) -> None:
    passages, _ = appliance.search("employees", identity=LOCAL_USER, k=150)
    assert 100 < len(passages) <= 150
    assert len({passage.chunk_id for passage in passages}) == len(passages)


def test_shares_are_of_the_best_in_this_search(appliance: Appliance) -> None:
    collection = appliance.collection("default", identity=LOCAL_USER)
    found = Retriever(appliance.embedder()).retrieve(collection, understand("lighthouse lamp"), 50).found
    assert max(hit.lexical for hit in found) == pytest.approx(1)
    assert max(hit.name for hit in found) == pytest.approx(1)
    assert all(0 <= hit.lexical <= 1 and 0 <= hit.name <= 1 and -1 <= hit.cosine <= 1.01 for hit in found)


def test_a_question_without_words_finds_by_meaning_alone(appliance: Appliance) -> None:
    assert appliance.search("???", identity=LOCAL_USER, k=2)[0]


@pytest.mark.parametrize(("query", "k"), [("", 5), (" \n", 5), ("lamp", 0)])
def test_what_makes_no_sense_is_refused(appliance: Appliance, query: str, k: int) -> None:
    with pytest.raises(BadInput):
        appliance.search(query, identity=LOCAL_USER, k=k)


def test_an_unknown_collection_is_said(appliance: Appliance) -> None:
    with pytest.raises(UnknownCollection, match="nothing"):
        appliance.search("lamp", identity=LOCAL_USER, collection="nothing")


def test_only_live_documents_are_found(own_appliance: Own) -> None:
    appliance, folder = own_appliance
    extra = folder / "horn.txt"
    for text in ("The horn sounds twice each minute.", "The whistle blows once an hour."):
        extra.write_text(text)
        assert isinstance(list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))[-1], MirrorDone)
        found = {passage.text for passage in appliance.search("horn whistle sound", identity=LOCAL_USER)[0]}
        assert text in found
    assert "The horn sounds twice each minute." not in found
    extra.unlink()
    list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
    assert "horn.txt" not in {p.file for p in appliance.search("horn whistle sound", identity=LOCAL_USER)[0]}


def test_an_empty_collection_finds_nothing(own_appliance: Own, tmp_path: Path) -> None:
    appliance, _ = own_appliance
    list(appliance.mirror(tmp_path, identity=LOCAL_USER, collection="empty", cancel=CancelToken()))
    assert appliance.search("lamp", identity=LOCAL_USER, collection="empty")[0] == []


def test_a_table_is_found_by_its_files_name_though_no_cell_says_it(own_appliance: Own) -> None:
    appliance, folder = own_appliance
    for number, name in enumerate(["Berta_Moor", "Carl_Lind", "Ida_Keller", "Jon_Vale"]):
        rows = [f"{year},The {2 * year + number} Voyage,Captain" for year in range(1990, 2020)]
        (folder / f"{name}_-_Roles.csv").write_text("\n".join(["Year,Play,Role", *rows]))
    list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
    passages, _ = appliance.search("Which role did Keller play in 2004?", identity=LOCAL_USER, k=3)
    assert passages[0].file == "Ida_Keller_-_Roles.csv"
    assert "2004 | " in passages[0].text


def test_neighbours_of_one_table_are_one_passage_with_the_header_once(own_appliance: Own) -> None:
    appliance, folder = own_appliance
    rows = [f"{year},The {2 * year} Lantern,Keeper" for year in range(1990, 2020)]
    (folder / "Olga_Brand_-_Roles.csv").write_text("\n".join(["Year,Play,Role", *rows]))
    list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
    passages, _ = appliance.search("Which roles did Brand play?", identity=LOCAL_USER, k=3)
    assert passages[0].text.startswith("Year | Play | Role\n1990 | ")
    assert passages[0].text.count("Year | Play | Role") == 1
    assert "2019 | The 4038 Lantern" in passages[0].text


class ScriptedReranker:
    """Likes texts with a certain word, and notes what it was asked."""

    identity = "scripted"

    def __init__(self, word: str, problem: str = "") -> None:
        self._word, self._problem = word, problem
        self.asked: list[tuple[str, list[str]]] = []

    def scores(self, query: str, texts: Sequence[str]) -> np.ndarray:
        if self._problem:
            raise ModelError(self._problem)
        self.asked.append((query, list(texts)))
        return np.array([float(self._word in text) for text in texts], dtype=np.float32)


def test_a_reranker_orders_the_best_and_equals_stay_as_they_were(appliance: Appliance) -> None:
    collection, question = appliance.collection("default", identity=LOCAL_USER), understand("dental coverage")
    plain = Retriever(appliance.embedder()).retrieve(collection, question, 50).found
    reranker = ScriptedReranker("vision")
    retrieval = Retriever(appliance.embedder(), reranker).retrieve(collection, question, 50)
    [(query, texts)] = reranker.asked
    assert query == question.text
    assert len(texts) == 30
    liked = ["vision" in hit.chunk.text for hit in retrieval.found[:10]]
    assert any(liked)
    assert retrieval.found[0].chunk.chunk_id != plain[0].chunk.chunk_id
    scores = [hit.score for hit in retrieval.found]
    assert scores == sorted(scores, reverse=True)
    assert "rerank" in retrieval.timings_ms
    same = Retriever(appliance.embedder(), ScriptedReranker("no such word")).retrieve(collection, question, 50).found
    assert same == plain


def test_a_reranker_that_fails_costs_the_better_order_only(
    appliance: Appliance, caplog: pytest.LogCaptureFixture
) -> None:
    collection, question = appliance.collection("default", identity=LOCAL_USER), understand("dental coverage")
    failing = ScriptedReranker("vision", "The GPU has no memory")
    with caplog.at_level(logging.WARNING):
        found = Retriever(appliance.embedder(), failing).retrieve(collection, question, 10).found
    assert found == Retriever(appliance.embedder()).retrieve(collection, question, 10).found
    assert "keep their fused order: The GPU has no memory" in caplog.text
