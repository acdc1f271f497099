"""
StorageError
├── DatabaseFailed        SQLite could not read or write (disk full, locked, damaged); names the next step
├── NewerDatabase         the data folder was written by a newer Lectern
├── UnknownCollection     no collection has that name
├── EmbedderMismatch      vectors or a cache made by another embedder
├── ContentGone           a content was discarded while somebody was about to publish it; build it again
├── DamagedCache          an index file that cannot be read; it is rebuilt from the database
├── FaissUnusable         FAISS is not installed, or its libraries are missing
├── DeviceFailed          a GPU cannot hold or search its copy of an index; the CPU does it
├── MirroredDocument      a document that mirrors a file cannot be changed or deleted from outside
└── UnsupportedQuery      a way of searching, or a filter, that the collection does not have
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of everything that can go wrong in the data folder."""


class DatabaseFailed(StorageError):
    pass


class NewerDatabase(StorageError):
    pass


class UnknownCollection(StorageError):
    pass


class EmbedderMismatch(StorageError):
    pass


class ContentGone(StorageError):
    pass


class DamagedCache(StorageError):
    pass


class FaissUnusable(StorageError):
    pass


class DeviceFailed(StorageError):
    pass


class MirroredDocument(StorageError):
    pass


class UnsupportedQuery(StorageError):
    pass
