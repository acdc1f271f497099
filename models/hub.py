"""A model hub: what a repository holds at a commit, and the bytes of its files. It passes on what the hub says and
proves nothing; that is done where the bytes are stored."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from models.errors import DownloadFailed, HashMismatch

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repository:
    """`name` is owner/name; `revision` a branch, a tag or a commit."""

    name: str
    revision: str

    @classmethod
    def parse(cls, address: str) -> Repository:
        """Read `hf://owner/name@revision`. Raises `DownloadFailed` when it is none."""
        match = re.fullmatch(r"hf://(\w[\w.-]*/\w[\w.-]*)@(\w[\w./-]*)", address)
        if not match:
            raise DownloadFailed(f"{address!r} is no repository; it should read hf://owner/name@revision")
        return cls(match[1], match[2])


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it. Large files have a `sha256`, small ones only git's own hash, `git_sha1`."""

    path: str
    bytes: int
    sha256: str | None
    git_sha1: str


class Hub:
    """One hub. `pause` sleeps for so many seconds before the next attempt, and may raise to end them."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout_s: float,
        retry_waits_s: Sequence[float],
        pause: Callable[[float], None],
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s
        self._retry_waits_s = tuple(retry_waits_s)
        self._pause = pause

    def commit(self, repository: Repository) -> str:
        """The commit that the revision is now. Raises `DownloadFailed`."""
        url = f"{self._url}/api/models/{repository.name}/revision/{quote(repository.revision, safe='')}"
        with self._asked(url, repository.name) as response:
            about = _json(response, url)
        commit = about.get("sha") if isinstance(about, dict) else None
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise DownloadFailed(f"{url} names no commit; is HF_ENDPOINT a model hub?")
        return commit

    def files(self, name: str, commit: str) -> list[HubFile]:
        """Every file of the repository at that commit. Raises `DownloadFailed`."""
        url = f"{self._url}/api/models/{name}/tree/{commit}"
        files: list[HubFile] = []
        query, asked = "recursive=true", set[str]()
        while query and query not in asked:
            asked.add(query)
            with self._asked(f"{url}?{query}", name) as response:
                files += _read_listing(_json(response, url), url)
                # Only the query is taken: a mirror's link may lead to another host, which must not see the token.
                query = response.links.get("next", {}).get("url", "").partition("?")[2]
        if query:
            raise DownloadFailed(f"{url} lists its files in a circle; HF_ENDPOINT names another hub")
        return files

    def blocks(self, name: str, revision: str, path: str, start: int = 0) -> Iterator[bytes]:
        """The bytes of a file from `start` on. A transfer that breaks goes on where it broke.

        Raises `DownloadFailed`; `HashMismatch` when the file ends before `start`.
        """
        url = f"{self._url}/{name}/resolve/{quote(revision, safe='')}/{quote(path)}"
        waits = iter(self._retry_waits_s)
        while True:
            try:
                for block in self._stream(url, name, start):
                    start += len(block)
                    waits = iter(self._retry_waits_s)
                    yield block
                return
            except _Interrupted as exc:
                if (wait_s := next(waits, None)) is None:
                    raise
                logger.info("%s; again from byte %d in %g s", exc, start, wait_s)
                self._pause(wait_s)

    def _stream(self, url: str, name: str, start: int) -> Iterator[bytes]:
        with self._asked(url, name, start) as response:
            skip = start if response.status_code == 200 else 0  # not every server can begin in the middle
            if start and not skip and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise DownloadFailed(f"{url} was asked for the bytes from {start} on and sent others")
            for block in response.iter_bytes():
                if rest := block[skip:]:
                    yield rest
                skip = max(0, skip - len(block))

    @contextmanager
    def _asked(self, url: str, name: str, start: int = 0) -> Iterator[httpx.Response]:
        """A good answer whose body is still to come; errors of reading the body are translated too."""
        import httpx

        # Compressed bytes could be neither counted nor taken up in the middle.
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        if self._token:
            # httpx leaves it away when a redirect leads to another host, so the token stays with the hub.
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=self._timeout_s) as response:
                self._check(response, url, name, start)
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            said = str(exc) or type(exc).__name__
            raise _Interrupted(f"{url} cannot be fetched: {said}; is the network up, and HF_ENDPOINT right?") from exc

    def _check(self, response: httpx.Response, url: str, name: str, start: int) -> None:
        import httpx

        status, said = response.status_code, response.headers.get("X-Error-Message", "")[:200]
        said = f"status {status}, {said}" if said else f"status {status}"
        page = f"{self._url}/{name}"
        if status in (200, 206):
            return
        if status == 416:
            raise HashMismatch(f"{url} holds another file: it ends before byte {start}")
        if status == 429 or status >= 500 or response.url.netloc != httpx.URL(self._url).netloc:
            # Refused where a redirect led to: that address has run out, and the hub gives a fresh one.
            raise _Interrupted(f"{url} cannot be fetched now: {said}; try again later")
        if status in (401, 403) and self._token:
            raise DownloadFailed(
                f"{page} is refused to the account of HF_TOKEN ({said}): accept the licence there with that account, "
                "and see that the token may read it"
            )
        if status in (401, 403):
            raise DownloadFailed(
                f"{page} is refused without an account ({said}): accept the licence there and set HF_TOKEN to a token "
                "of yours; a repository that does not exist is refused in the same way"
            )
        if status == 404:
            raise DownloadFailed(f"{url} is not there ({said}); see what {page} has")
        raise DownloadFailed(f"{url} cannot be fetched: {said}")


class _Interrupted(DownloadFailed):
    """It may go on in a moment."""


def _json(response: httpx.Response, url: str) -> object:
    response.read()
    try:
        return response.json()
    except ValueError as exc:
        raise DownloadFailed(f"{url} did not answer in JSON; is HF_ENDPOINT a model hub?") from exc


def _read_listing(rows: object, url: str) -> list[HubFile]:
    try:
        if not isinstance(rows, list):
            raise TypeError(f"it is no list but {type(rows).__name__}")
        return [_read_file(row) for row in rows if row["type"] == "file"]
    except (KeyError, TypeError, ValueError) as exc:
        raise DownloadFailed(f"the list of files at {url} cannot be understood: {exc!r}") from exc


def _read_file(row: dict[str, object]) -> HubFile:
    large = row.get("lfs")
    sha256 = str(large["oid"]) if isinstance(large, dict) else None
    file = HubFile(str(row["path"]), int(str(row["size"])), sha256, str(row["oid"]))
    if not re.fullmatch(r"[0-9a-f]{40}", file.git_sha1) or not re.fullmatch(r"[0-9a-f]{64}", sha256 or 64 * "0"):
        raise ValueError(f"{file.path} has no hash")
    if file.bytes < 0:
        raise ValueError(f"{file.path} has {file.bytes} bytes")
    return file
