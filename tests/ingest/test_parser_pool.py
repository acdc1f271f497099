"""The pool goes on whatever a file does to its process: memory, time, crash, cancellation, an impatient caller."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import LimitReached, NotNow, ParserDied, ParserUnavailable, Unreadable
from ingest.formats import FORMATS, detect
from ingest.limits import Limits
from ingest.page_pieces import MOST_CHARACTERS
from ingest.parser_pool import ParserPool
from ingest.plain_file import FileIdentity
from models.cancellation import Cancelled, CancelToken

TEXT = FORMATS["text"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("First paragraph.\n\nSecond paragraph.\n")
    return path


@pytest.fixture
def slow_pdf(tmp_path: Path) -> Path:
    """One page with half a million words: seconds of work before the first page is out."""
    words = b"(word) Tj 5 0 Td\n" * 500_000
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] /Contents 4 0 R"
        b" /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\nBT /F 9 Tf %s ET\nendstream" % (len(words), words),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, item) for number, item in enumerate(objects, start=1))
    path = tmp_path / "slow.pdf"
    path.write_bytes(b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF")
    return path


@contextmanager
def pool_with(limits: Limits, size: int = 1) -> Iterator[ParserPool]:
    pool = ParserPool(size, limits)
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    with pool_with(Limits()) as pool:
        yield pool


def parsed(pool: ParserPool, path: Path) -> list[Page | Summary]:
    return list(pool.parse(path, detect(path), CancelToken()))


def gone(process_id: int) -> bool:
    for _ in range(50):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{process_id}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def test_pages_come_first_and_one_summary_last(pool: ParserPool, note: Path) -> None:
    page, summary = parsed(pool, note)
    assert isinstance(page, Page)
    assert [page.text[e.start : e.end] for e in page.elements] == ["First paragraph.", "Second paragraph."]
    assert summary == Summary(title=None, pages_total=1)


def test_one_process_serves_many_files_until_it_is_worn(note: Path) -> None:
    pool = ParserPool(1, Limits(), recycle_files=2)
    seen = []
    for _ in range(4):
        parsed(pool, note)
        seen.append(pool.process_ids())
    pool.close()
    assert len(seen[0]) == 1
    assert seen[1] == (), "a worn process is ended at once"
    assert seen[2] != seen[0]


def test_nothing_is_started_before_it_is_needed(pool: ParserPool) -> None:
    assert pool.process_ids() == ()


def test_a_memory_bomb_dies_alone(tmp_path: Path, note: Path) -> None:
    bomb = tmp_path / "bomb.json"
    bomb.write_text("[" + "[0]," * 6_000_000 + "0]")
    with pool_with(Limits(memory_bytes=256 << 20)) as pool:
        with pytest.raises(ParserDied, match=r"out of memory: the limit is 256 MiB") as died:
            parsed(pool, bomb)
        assert died.value.state == "quarantined"
        assert len(parsed(pool, note)) == 2


def test_a_file_that_takes_too_long_is_stopped(slow_pdf: Path, note: Path) -> None:
    with pool_with(Limits(silence_s=0.4)) as pool:
        with pytest.raises(ParserDied, match=r"time limit: no page for 0\.4 s"):
            parsed(pool, slow_pdf)
        assert len(parsed(pool, note)) == 2


def test_a_file_that_burns_processor_time_is_stopped_by_the_system(slow_pdf: Path, note: Path) -> None:
    with pool_with(Limits(cpu_s=1)) as pool:
        with pytest.raises(ParserDied, match="1 s of processor time"):
            parsed(pool, slow_pdf)
        assert len(parsed(pool, note)) == 2


def test_a_crash_is_named_and_the_next_file_is_read(pool: ParserPool, slow_pdf: Path, note: Path) -> None:
    parsed(pool, note)
    (process_id,) = pool.process_ids()
    threading.Timer(0.3, os.kill, [process_id, signal.SIGSEGV]).start()
    with pytest.raises(ParserDied, match="SIGSEGV"):
        parsed(pool, slow_pdf)
    assert len(parsed(pool, note)) == 2


def test_cancelling_kills_the_process_at_once(pool: ParserPool, slow_pdf: Path, note: Path) -> None:
    parsed(pool, note)
    (process_id,) = pool.process_ids()
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        list(pool.parse(slow_pdf, detect(slow_pdf), cancel))
    assert time.monotonic() - started < 1.5
    assert gone(process_id)
    assert len(parsed(pool, note)) == 2


def test_a_caller_who_stops_listening_leaves_a_working_pool(pool: ParserPool, shared: Path, note: Path) -> None:
    handbook = shared / "eval/hr-handbook/docs/employee_handbook.pdf"
    pages = pool.parse(handbook, detect(handbook), CancelToken())
    assert isinstance(next(pages), Page)
    pages.close()  # type: ignore[attr-defined]  # parse is a generator; closing it is what `for … break` does
    assert len(parsed(pool, note)) == 2


def test_a_slow_caller_is_not_taken_for_a_slow_file(shared: Path) -> None:
    handbook = shared / "eval/hr-handbook/docs/employee_handbook.pdf"
    with pool_with(Limits(silence_s=1.0, wall_s=2.0)) as pool:
        pages = 0
        for _ in pool.parse(handbook, detect(handbook), CancelToken()):
            time.sleep(0.25)
            pages += 1
        assert pages == 12


def test_files_are_read_side_by_side(note: Path) -> None:
    with pool_with(Limits(), size=2) as pool:
        with ThreadPoolExecutor(6) as threads:
            results = list(threads.map(lambda path: len(parsed(pool, path)), [note] * 6))
        assert results == [2] * 6
        assert 1 <= len(pool.process_ids()) <= 2


def test_text_beyond_the_limit_is_left_out_and_said(shared: Path) -> None:
    handbook = shared / "eval/hr-handbook/docs/employee_handbook.pdf"
    with pool_with(Limits(characters=5_000)) as pool:
        *pages, summary = parsed(pool, handbook)
        assert isinstance(summary, Summary)
        assert 0 < sum(len(page.text) for page in pages if isinstance(page, Page)) <= 5_000
        assert "5,000 characters" in summary.omissions[-1].reason


def test_a_preview_is_a_png_of_the_width_asked_for(pool: ParserPool, shared: Path) -> None:
    handbook = shared / "eval/hr-handbook/docs/employee_handbook.pdf"
    png = pool.render_page(handbook, 2, 300)
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 300
    with pytest.raises(Unreadable):
        pool.render_page(handbook, 99, 300)
    with pytest.raises(LimitReached):
        pool.render_page(handbook, 1, 1)


def test_drawing_a_bomb_is_stopped_and_reading_it_is_not_needed(shared: Path, note: Path) -> None:
    bomb = shared / "format-zoo/pdf/bomb_giant.pdf"
    with pool_with(Limits(silence_s=2)) as pool:
        assert len(parsed(pool, bomb)) == 2
        started = time.monotonic()
        with suppress(ParserDied, Unreadable):
            pool.render_page(bomb, 1, 300)
        assert time.monotonic() - started < 5
        assert len(parsed(pool, note)) == 2


def test_no_process_and_no_file_is_left_behind(
    note: Path, slow_pdf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pool = ParserPool(2, Limits())
    parsed(pool, note)
    with ThreadPoolExecutor(1) as other:
        busy = other.submit(parsed, pool, slow_pdf)
        time.sleep(0.2)
        process_ids = pool.process_ids()
        pool.close()
        assert isinstance(busy.exception(), ParserDied)
    assert process_ids
    assert all(map(gone, process_ids))
    assert list(tmp_path.glob("lectern-parser-*")) == []
    with pytest.raises(ParserUnavailable):
        parsed(pool, note)


def test_parsers_die_with_the_appliance(note: Path, tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from ingest.limits import Limits\n"
        "from ingest.parser_pool import ParserPool; from ingest.formats import detect\n"
        "from models.cancellation import CancelToken\n"
        f"pool = ParserPool(1, Limits()); path = Path({str(note)!r})\n"
        "list(pool.parse(path, detect(path), CancelToken())); print(*pool.process_ids(), flush=True); time.sleep(60)\n"
    )
    command, environment = [sys.executable, "-c", program], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as appliance:
        assert appliance.stdout is not None
        process_id = int(appliance.stdout.readline())
        appliance.kill()
    assert gone(process_id)


def test_a_parser_sees_no_secrets_of_the_appliance(
    pool: ParserPool, note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGC_API_KEY", "secret")
    parsed(pool, note)
    (process_id,) = pool.process_ids()
    environment = Path(f"/proc/{process_id}/environ").read_bytes()
    assert b"secret" not in environment
    assert b"DO_NOT_TRACK=true" in environment


def test_a_file_that_was_exchanged_behind_the_callers_back_is_not_read(
    pool: ParserPool, note: Path, tmp_path: Path
) -> None:
    identity = FileIdentity.of(note.stat())
    assert len(list(pool.parse(note, TEXT, CancelToken(), identity=identity))) == 2
    secret = tmp_path / "secret.txt"
    secret.write_text("Outside of the folder.")
    note.rename(tmp_path / "away.txt")
    note.symlink_to(secret)
    with pytest.raises(NotNow, match="exchanged"):
        list(pool.parse(note, TEXT, CancelToken(), identity=identity))
    note.unlink()
    os.mkfifo(note)
    with pytest.raises(NotNow, match="exchanged"):
        list(pool.parse(note, TEXT, CancelToken(), identity=identity))
    assert len(pool.process_ids()) == 1


def test_a_text_of_any_length_comes_in_pages_that_the_parent_can_take_in(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("".join(f"Line {number} of a long log.\n" for number in range(200_000)))
    *pages, summary = parsed(pool, path)
    assert isinstance(summary, Summary)
    assert summary.pages_total == len(pages) > 1
    texts = [page.text for page in pages if isinstance(page, Page)]
    assert max(map(len, texts)) <= MOST_CHARACTERS
    assert "".join(texts).split() == path.read_text().split()


@pytest.mark.parametrize("failing", ["ingest.scratch._made", "subprocess.Popen"])
def test_without_room_for_a_parser_no_file_is_at_fault(
    note: Path, monkeypatch: pytest.MonkeyPatch, failing: str, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    with pool_with(Limits()) as pool:
        with monkeypatch.context() as patched:
            patched.setattr(failing, refuse)
            with pytest.raises(ParserUnavailable, match=r"No space left on device, ENOSPC.*Make room"):
                parsed(pool, note)
        assert len(parsed(pool, note)) == 2
