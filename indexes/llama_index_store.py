"""The seam to LlamaIndex: a collection as one of its vector stores. The only module here that imports it.

store = LecternVectorStore(library.collection("default"))
index = VectorStoreIndex.from_vector_store(store, embed_model=embed_model)  # the collection's own model
index.insert(Document(text="…", metadata={"author": "…"}))                  # beside what Lectern ingested
nodes = index.as_retriever(similarity_top_k=5).retrieve("Who pays for the dentist?")
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from indexes.collection import Collection
from indexes.dense import Ids, Vectors
from indexes.errors import EmbedderMismatch, MirroredDocument, UnsupportedQuery
from indexes.node_documents import Node, NodeDocuments
from indexes.records import StoredChunk

_FOLDER = "llama-index"
_CHUNK_ID = re.compile(r"chunk-(\d+)")  # the id of a node that is a chunk of a mirrored file
_OPERATORS: dict[FilterOperator, Callable[[str, list[str]], bool]] = {
    FilterOperator.EQ: lambda value, given: value == given[0],
    FilterOperator.NE: lambda value, given: value != given[0],
    FilterOperator.IN: lambda value, given: value in given,
    FilterOperator.NIN: lambda value, given: value not in given,
}


class LecternVectorStore(BasePydanticVectorStore):  # type: ignore[misc]  # mypy is told to skip LlamaIndex
    """Searches everything in the collection; adds and deletes documents of its own, beside the mirrored folders.

    The ids of its documents and nodes are those of LlamaIndex. A mirrored file's document id (`ref_doc_id`) is its
    absolute path, its nodes are its chunks. Filters know the keys `file` (the path within its folder, or the
    document's id in LlamaIndex), `file_path` (absolute), `document_id` (Lectern's number), and `doc_id` or
    `ref_doc_id`, with ==, !=, in and nin. `query_embedding` and the nodes' embeddings are made by the collection's
    embedder; they need not have length 1. As for writing, see `NodeDocuments`.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    _collection: Collection = PrivateAttr()
    _documents: NodeDocuments = PrivateAttr()

    def __init__(self, collection: Collection) -> None:
        super().__init__(stores_text=True)
        self._collection = collection
        self._documents = NodeDocuments(collection, _FOLDER)

    @classmethod
    def class_name(cls) -> str:
        return "LecternVectorStore"

    @property
    def client(self) -> Collection:
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **_kwargs: object) -> list[str]:
        """Store nodes that carry embeddings, and return their ids. A node without `ref_doc_id` is a document by itself.
        Raises `EmbedderMismatch` when an embedding has not the collection's dimension."""
        by_document: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            by_document[node.ref_doc_id or node.node_id].append(self._stored(node))
        for name, stored in by_document.items():
            self._documents.put(name, stored)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **_kwargs: object) -> None:
        """Delete a document that was added here; an unknown one is ignored. Raises `MirroredDocument` for a file."""
        if self._documents.row(ref_doc_id) is None:
            self._refuse_files(ref for _, ref in self._files() if ref == ref_doc_id)
        self._documents.remove([ref_doc_id])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **_kwargs: object
    ) -> None:
        """Delete the nodes that were added here, have one of the ids and pass the filters. Raises `MirroredDocument`
        when a chunk of a file is among them."""
        chunks = self._chunks(self._allowed(node_ids=node_ids, filters=filters))
        self._refuse_files(chunk.file for chunk in chunks if not self._is_node(chunk))
        self._documents.remove_nodes([chunk.part for chunk in chunks if chunk.part is not None])

    def clear(self) -> None:
        """Delete every document that was added here; mirrored files stay."""
        self._documents.remove(self._documents.rows())

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes that have one of the ids and pass the filters."""
        chunks = self._chunks(self._allowed(node_ids=node_ids, filters=filters))
        return [node for chunk in chunks if (node := self._node(chunk)) is not None]

    def query(self, query: VectorStoreQuery, **_kwargs: object) -> VectorStoreQueryResult:
        """The nearest nodes with their cosines, best first. Raises `UnsupportedQuery` for other modes than DEFAULT, for
        other keys and other operators."""
        if query.mode != VectorStoreQueryMode.DEFAULT or query.query_embedding is None:
            raise UnsupportedQuery(
                f"A Lectern collection is searched in mode 'default' with an embedding, not in {query.mode.value!r}"
                f"{'' if query.query_embedding else ' without one'}; `python app.py search` is the hybrid search."
            )
        vector = self._unit(query.query_embedding, "The query")
        # LlamaIndex's retriever gives an empty list where it means no condition.
        allowed = self._allowed(doc_ids=query.doc_ids or None, node_ids=query.node_ids or None, filters=query.filters)
        ids, cosines = self._nearest(vector, allowed, query.similarity_top_k)
        chunks = self._collection.chunks(ids.tolist())
        found = [
            (node, cosine)
            for i, cosine in zip(ids.tolist(), cosines.tolist(), strict=True)
            if i in chunks and (node := self._node(chunks[i])) is not None
        ]
        nodes = [node for node, _ in found]
        return VectorStoreQueryResult(nodes, [cosine for _, cosine in found], [node.node_id for node in nodes])

    def _nearest(self, vector: Vectors, allowed: set[int] | None, k: int) -> tuple[Ids, Vectors]:
        dense = self._collection.dense
        if allowed is None:
            return dense.search(vector, k)
        ids = np.intersect1d(np.array(sorted(allowed), dtype=np.int64), dense.ids())
        cosines = dense.similarities(vector, ids)
        best = np.argsort(-cosines, kind="stable")[:k]
        return ids[best], cosines[best]

    def _allowed(
        self,
        *,
        node_ids: Sequence[str] | None = None,
        doc_ids: Sequence[str] | None = None,
        filters: MetadataFilters | None = None,
    ) -> set[int] | None:
        """The chunk ids that pass every condition given; None when there is no condition."""
        allowed: set[int] | None = None
        if node_ids is not None:
            allowed = {place.chunk_id for place in self._documents.find(node_ids).values()}
            matches = (_CHUNK_ID.fullmatch(node_id) for node_id in node_ids)
            allowed |= {int(match[1]) for match in matches if match}
        if doc_ids is not None or filters is not None:
            documents = [
                fields["document_id"]
                for fields in self._fields()
                if (doc_ids is None or fields["doc_id"] in doc_ids) and (filters is None or _passes(filters, fields))
            ]
            by_document = self._collection.chunks_of_documents([int(i) for i in documents])
            chunk_ids = {i for ids in by_document.values() for i in ids}
            allowed = chunk_ids if allowed is None else allowed & chunk_ids
        return allowed

    def _fields(self) -> list[dict[str, str]]:
        """What filters see of each document."""
        nodes = [(row.id, row.path, row.path) for row in self._documents.rows().values()]
        files = [(document_id, path, ref) for (document_id, path), ref in self._files()]
        return [
            {"document_id": str(i), "file": path, "file_path": ref, "doc_id": ref, "ref_doc_id": ref}
            for i, path, ref in nodes + files
        ]

    def _files(self) -> list[tuple[tuple[int, str], str]]:
        """((document id, path within its folder), absolute path) of each mirrored file."""
        documents = self._collection.documents
        return [
            ((row.id, row.path), f"{folder.path}/{row.path}")
            for folder in documents.folders()
            if folder.id != self._documents.folder_id
            for row in documents.of_folder(folder.id)
        ]

    def _chunks(self, chunk_ids: Iterable[int] | None) -> list[StoredChunk]:
        ids = self._collection.dense.ids().tolist() if chunk_ids is None else sorted(chunk_ids)
        return list(self._collection.chunks(ids).values())

    def _refuse_files(self, files: Iterable[str]) -> None:
        file = next(iter(files), None)
        if file is not None:
            raise MirroredDocument(f"{file!r} mirrors a file on the disk: delete the file, or forget its folder.")

    def _is_node(self, chunk: StoredChunk) -> bool:
        page = self._collection.contents.page(chunk.spans[0][0])
        return page is not None and page.metadata is not None

    def _stored(self, node: BaseNode) -> Node:
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        metadata = json.dumps(node_to_metadata_dict(node, remove_text=True), ensure_ascii=False)
        return Node(node.node_id, text, metadata, self._unit(node.get_embedding(), f"Node {node.node_id!r}"))

    def _node(self, chunk: StoredChunk) -> BaseNode | None:
        """The chunk as LlamaIndex knows it; None when it was discarded this moment."""
        page = self._collection.contents.page(chunk.spans[0][0])
        path = self._collection.documents.absolute_path(chunk.document_id)
        if page is None or path is None:
            return None
        seen = {"file": chunk.file, "page": chunk.page, "heading": chunk.heading, "version": chunk.version}
        if page.metadata is not None:
            node = metadata_dict_to_node(json.loads(page.metadata), text=chunk.text)
            node.metadata = {**seen, **node.metadata}
            return node
        return TextNode(
            id_=f"chunk-{chunk.chunk_id}",
            text=chunk.text,
            metadata={**seen, "document_id": chunk.document_id},
            excluded_embed_metadata_keys=["document_id", "version"],
            excluded_llm_metadata_keys=["document_id", "version"],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=str(path))},
        )

    def _unit(self, embedding: Sequence[float], what: str) -> Vectors:
        vector = np.array(embedding, dtype=np.float32)
        if vector.shape != (self._collection.vectors.dimension,):
            raise EmbedderMismatch(
                f"{what} has an embedding of {vector.size} numbers; collection {self._collection.name!r} was embedded "
                f"by {self._collection.embedder!r} with {self._collection.vectors.dimension}: use that one."
            )
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length else vector


def _passes(filters: MetadataFilters, fields: dict[str, str]) -> bool:
    results = (
        _passes(part, fields) if isinstance(part, MetadataFilters) else _matches(part, fields)
        for part in filters.filters
    )
    if filters.condition == FilterCondition.OR:
        return any(results)
    if filters.condition == FilterCondition.NOT:
        return not any(results)
    return all(results)


def _matches(part: MetadataFilter, fields: dict[str, str]) -> bool:
    if part.key not in fields or part.operator not in _OPERATORS:
        raise UnsupportedQuery(
            f"A Lectern collection cannot filter by {part.key!r} {part.operator.value!r}; it knows the keys "
            f"{', '.join(fields)} with {', '.join(operator.value for operator in _OPERATORS)}."
        )
    given = part.value if isinstance(part.value, list) else [part.value]
    return _OPERATORS[part.operator](fields[part.key], [str(value) for value in given])
