"""Our collection as LlamaIndex sees it, through LlamaIndex's own index and retriever."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core import Document, MockEmbedding, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from indexes.collection import Collection
from indexes.errors import EmbedderMismatch, MirroredDocument, UnsupportedQuery
from indexes.llama_index_store import LecternVectorStore

_WORDS = ("cat", "dog", "tax", "law", "sun", "moon", "tea", "milk")


class WordEmbedding(BaseEmbedding):
    """Counts eight words; LlamaIndex does not ask for vectors of length 1."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [float(text.lower().count(word)) for word in _WORDS]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def embed(collection: Collection) -> None:
    """As the ingest pipeline does, by the same model."""
    model = WordEmbedding()
    while waiting := collection.vectors.unembedded(100, 1):
        vectors = np.array([model.get_text_embedding(chunk.text) for chunk in waiting], dtype=np.float32)
        collection.vectors.put(waiting, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture
def store(filler) -> LecternVectorStore:
    """A store over two files that our pipeline has read."""
    filler.publish("pets/animals.txt", "The cat sleeps.", "The dog barks.", title="Pets")
    filler.publish("rules.pdf", "The law of tax, tax and tax.")
    embed(filler.collection)
    return LecternVectorStore(filler.collection)


@pytest.fixture
def index(store: LecternVectorStore) -> VectorStoreIndex:
    splitter = SentenceSplitter(chunk_size=60, chunk_overlap=0, tokenizer=str.split, chunking_tokenizer_fn=str.split)
    return VectorStoreIndex.from_vector_store(store, embed_model=WordEmbedding(), transformations=[splitter])


def texts(index: VectorStoreIndex, question: str, k: int = 1, **options: object) -> list[str]:
    return [hit.text for hit in index.as_retriever(similarity_top_k=k, **options).retrieve(question)]


def only(key: str, value: object, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilters:
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)])


def vectors(store: LecternVectorStore) -> set[int]:
    """The ids in the dense index, which are those in the lexical one and those of the database."""
    collection = store.client
    ids = set(collection.dense.ids().tolist())
    assert collection.lexical.indexed_chunks() == ids
    with collection.database.read() as connection:
        assert {row[0] for row in connection.execute("SELECT id FROM chunk")} == ids
    return ids


def test_llama_index_finds_what_lectern_ingested(index: VectorStoreIndex) -> None:
    [hit] = index.as_retriever(similarity_top_k=1).retrieve("my dog")
    assert hit.text == "The dog barks."
    assert hit.score == pytest.approx(1, abs=1e-3)
    assert hit.metadata == {
        "file": "pets/animals.txt",
        "page": 2,
        "heading": "",
        "version": 1,
        "document_id": hit.metadata["document_id"],
    }
    assert hit.node.ref_doc_id == "/documents/pets/animals.txt"
    assert hit.node.node_id.startswith("chunk-")


def test_what_llama_index_inserts_is_found_beside_it_with_all_that_it_said(index: VectorStoreIndex) -> None:
    index.insert(Document(text="The moon and the sun.", id_="sky", metadata={"author": "Ada", "stars": [1, 2]}))
    [hit] = index.as_retriever(similarity_top_k=1).retrieve("sun moon")
    assert hit.text == "The moon and the sun."
    assert (hit.node.ref_doc_id, hit.metadata["author"], hit.metadata["stars"]) == ("sky", "Ada", [1, 2])
    assert (hit.metadata["file"], hit.metadata["version"], hit.metadata["page"]) == ("sky", 1, None)
    assert texts(index, "cat", 5)[0] == "The cat sleeps."
    lexical = index.vector_store.client.lexical
    assert len(lexical.search_chunks(["moon"], 5)) == 1, "found by words too"


def test_the_nodes_are_still_there_after_a_restart(index: VectorStoreIndex) -> None:
    index.insert(Document(text="The moon.", id_="sky"))
    collection = index.vector_store.client
    again = VectorStoreIndex.from_vector_store(LecternVectorStore(collection), embed_model=WordEmbedding())
    assert texts(again, "moon") == ["The moon."]
    again.delete_ref_doc("sky")
    assert texts(again, "moon", 1, filters=only("doc_id", "sky")) == []


def test_a_long_document_is_split_and_deleted_whole(index: VectorStoreIndex, store: LecternVectorStore) -> None:
    before = vectors(store)
    index.insert(Document(text=" ".join(f"Sentence {i} is about milk." for i in range(120)), id_="long"))
    assert len(vectors(store)) > len(before) + 5
    index.delete_ref_doc("long")
    assert vectors(store) == before
    index.delete_ref_doc("long")  # unknown by now
    assert "milk" not in " ".join(texts(index, "milk", 10))


def test_nodes_of_one_document_may_come_in_parts_and_be_replaced(store: LecternVectorStore) -> None:
    def node(name: str, text: str) -> TextNode:
        node = TextNode(id_=name, text=text, embedding=WordEmbedding().get_text_embedding(text))
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="drinks")
        return node

    before = vectors(store)
    assert store.add([node("1", "tea"), node("2", "milk")]) == ["1", "2"]
    store.add([node("3", "tea and milk"), node("1", "tea, tea")])
    found = store.get_nodes(filters=only("doc_id", "drinks"))
    assert {n.node_id: n.get_content() for n in found} == {"1": "tea, tea", "2": "milk", "3": "tea and milk"}
    assert found[0].metadata["version"] == 2
    store.add([node("3", "tea and milk")])
    assert store.get_nodes(["3"])[0].metadata["version"] == 2, "nothing has changed"

    store.delete_nodes(["1", "3", "unknown"])
    assert [n.node_id for n in store.get_nodes(filters=only("file", "drinks"))] == ["2"]
    store.delete_nodes(["2"])
    assert vectors(store) == before
    assert "drinks" not in [row.path for row in store.client.documents.all()]


def test_a_node_without_a_document_is_one_by_itself(store: LecternVectorStore) -> None:
    store.add([TextNode(id_="alone", text="milk", embedding=[0, 0, 0, 0, 0, 0, 0, 3])])
    [node] = store.get_nodes(["alone"])
    assert node.ref_doc_id is None
    store.delete("alone")
    assert store.get_nodes(["alone"]) == []


def test_mirrored_files_are_not_deleted_from_outside(store: LecternVectorStore) -> None:
    before = vectors(store)
    with pytest.raises(MirroredDocument, match="delete the file"):
        store.delete("/documents/rules.pdf")
    with pytest.raises(MirroredDocument):
        store.delete_nodes(filters=only("file", "rules.pdf"))
    with pytest.raises(MirroredDocument):
        store.delete_nodes([f"chunk-{min(before)}"])
    store.add([TextNode(id_="alone", text="milk", embedding=[0, 0, 0, 0, 0, 0, 0, 1])])
    store.clear()
    assert vectors(store) == before


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (only("file", "rules.pdf"), ["law"]),
        (only("file_path", "/documents/rules.pdf"), ["law"]),
        (only("ref_doc_id", "sky"), ["moon"]),
        (only("file", ["rules.pdf", "sky"], FilterOperator.IN), ["law", "moon"]),
        (only("file", "rules.pdf", FilterOperator.NE), ["moon", "cat", "dog"]),
        (only("file", ["rules.pdf", "sky"], FilterOperator.NIN), ["cat", "dog"]),
        (only("document_id", 1), ["cat", "dog"]),
        (only("document_id", [1, 2], FilterOperator.IN), ["law", "cat", "dog"]),
        (only("file", "unknown"), []),
        (MetadataFilters(filters=[]), ["moon", "law", "cat", "dog"]),
        (MetadataFilters(filters=only("file", "sky").filters, condition=FilterCondition.NOT), ["law", "cat", "dog"]),
        (
            MetadataFilters(
                filters=[only("file", "sky"), only("file", "rules.pdf")],
                condition=FilterCondition.OR,
            ),
            ["moon", "law"],
        ),
        (MetadataFilters(filters=[only("file", "sky"), only("file", "rules.pdf")]), []),
    ],
)
def test_filters_choose_before_the_search(index: VectorStoreIndex, filters: MetadataFilters, found: list[str]) -> None:
    index.insert(Document(text="The moon.", id_="sky"))
    hits = " ".join(texts(index, "moon", 10, filters=filters))
    assert {word for word in _WORDS if word in hits} - {"tax"} == set(found)
    if found:
        assert len(texts(index, "moon", 1, filters=filters)) == 1


def test_document_and_node_ids_narrow_the_search_too(store: LecternVectorStore, index: VectorStoreIndex) -> None:
    assert texts(index, "moon", 5, doc_ids=["/documents/rules.pdf"]) == ["The law of tax, tax and tax."]
    node_id = index.as_retriever(similarity_top_k=1).retrieve("cat")[0].node_id
    query = VectorStoreQuery(query_embedding=[1.0] * 8, similarity_top_k=5, node_ids=[node_id, "chunk-x", "unknown"])
    assert store.query(query).ids == [node_id]
    query.doc_ids = ["/documents/rules.pdf"]
    assert store.query(query).ids == []
    query.node_ids = query.doc_ids = []  # as LlamaIndex's retriever says that there is no condition
    assert len(store.query(query).ids or []) == 3


@pytest.mark.parametrize(
    "filters", [only("author", "Ada"), only("file", 3, FilterOperator.GT), only("file", "x", FilterOperator.TEXT_MATCH)]
)
def test_other_filters_are_refused_and_those_known_are_named(index: VectorStoreIndex, filters: MetadataFilters) -> None:
    with pytest.raises(UnsupportedQuery, match="document_id, file, file_path"):
        texts(index, "cat", filters=filters)


def test_other_modes_are_refused(store: LecternVectorStore) -> None:
    with pytest.raises(UnsupportedQuery, match="'hybrid'"):
        store.query(VectorStoreQuery(query_embedding=[1.0] * 8, mode=VectorStoreQueryMode.HYBRID))
    with pytest.raises(UnsupportedQuery, match="without one"):
        store.query(VectorStoreQuery(query_str="cat"))


def test_another_embedding_model_is_refused(store: LecternVectorStore) -> None:
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(embed_dim=5))
    with pytest.raises(EmbedderMismatch, match=r"5 numbers.*'toy' with 8"):
        index.insert(Document(text="text"))
    with pytest.raises(EmbedderMismatch):
        texts(index, "cat")


def test_a_removed_file_is_found_no_more(filler, index: VectorStoreIndex) -> None:
    filler.remove("rules.pdf")
    assert "law" not in " ".join(texts(index, "law tax", 10))
