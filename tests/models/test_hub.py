"""Models of a hub, from the first pull on: what is fetched, what proves it, and what is said when it fails."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.cancellation import Cancelled, CancelToken
from models.catalog import Catalog, Entry
from models.download import ensure, is_installed, list_models, missing_files, model_folder, verify
from models.errors import DownloadFailed, HashMismatch, ModelError, WeightsMissing
from models.sources import Origins
from tests.standins.hub import FIRST_COMMIT, NEXT_COMMIT, StandInHub, listed, running

WEIGHTS = bytes(range(256)) * 2000
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "LICENSE": b"the licence",
    "model-00001-of-00002.safetensors": WEIGHTS,
    "model-00002-of-00002.safetensors": WEIGHTS[::-1],
    "pytorch_model.bin": b"a pickle",
    "original/consolidated.00.pth": b"a pickle",
    "modeling_owner.py": b"print('run')",
    ".gitattributes": b"",
}
TAKEN = {
    "config.json",
    "tokenizer.json",
    "LICENSE",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
}
FIRST, SECOND = sorted(path for path in TAKEN if path.endswith(".safetensors"))

ENTRY = Entry(
    name="tiny-fp8",
    kind="llm",
    backend="tensorrt-llm",
    architecture="llama",
    precision="fp8",
    licence="Llama 3.1",
    attribution="Built with Llama",
    summary="for a test",
    repository="hf://owner/name@main",
    weights_bytes=1_000_000,
    gated=True,
    context_tokens=1,
)


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    with running(StandInHub(dict(FILES))) as hub:
        yield hub


def origins(hub: StandInHub, **changes: object) -> Origins:
    return replace(Origins(hub_url=hub.url, retry_waits_s=(0.0, 0.0)), **changes)  # type: ignore[arg-type]  # by name


def files_in(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return found - {".lock", "verified.json", "pinned.json"}


def test_a_checkpoint_is_fetched_without_pickles_and_program_text(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    assert files_in(folder) == TAKEN
    assert all((folder / path).read_bytes() == FILES[path] for path in TAKEN)
    assert not hub.asked(".bin") + hub.asked(".pth") + hub.asked(".py")


def test_the_first_pull_pins_the_commit_and_the_hash_of_every_file(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    pinned = json.loads((folder / "pinned.json").read_text())
    assert (pinned["repository"], pinned["commit"]) == ("hf://owner/name@main", FIRST_COMMIT)
    assert {row["path"]: (row["bytes"], row["sha256"]) for row in pinned["files"]} == {
        path: (len(FILES[path]), hashlib.sha256(FILES[path]).hexdigest()) for path in TAKEN
    }


def test_a_pinned_model_needs_no_hub(tmp_path: Path) -> None:
    with running(StandInHub(dict(FILES))) as hub:
        folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    assert ensure(ENTRY, tmp_path, fetch=False) == folder
    assert missing_files(ENTRY, tmp_path) == []
    assert [check.problem for check in verify(ENTRY, tmp_path)] == [None] * len(TAKEN)
    status = list_models(Catalog((ENTRY,)), tmp_path)[0]
    assert (status.installed, status.bytes, status.gated) == (True, sum(len(FILES[path]) for path in TAKEN), True)


def test_before_the_first_pull_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"python app\.py models pull tiny-fp8"):
        ensure(ENTRY, tmp_path, fetch=False)
    assert "never pulled" in (verify(ENTRY, tmp_path)[0].problem or "")
    status = list_models(Catalog((ENTRY,)), tmp_path)[0]
    assert (status.installed, status.bytes) == (False, ENTRY.weights_bytes)


def test_a_model_that_nobody_publishes_cannot_be_pulled_and_says_how_it_is_made(tmp_path: Path) -> None:
    made = replace(ENTRY, repository=None, recipe="quantize.sh --quant fp8")
    assert not list_models(Catalog((made,)), tmp_path)[0].installed
    with pytest.raises(WeightsMissing, match=r"quantize\.sh --quant fp8.*LECTERN_MODEL_PATH"):
        ensure(made, tmp_path)


def test_a_second_pull_takes_the_pinned_commit_though_the_branch_went_on(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    (folder / FIRST).unlink()
    (folder / "config.json").write_bytes(b"{}")
    hub.commit = NEXT_COMMIT
    hub.seen.clear()
    ensure(ENTRY, tmp_path, origins=origins(hub))
    assert (folder / "config.json").read_bytes() == FILES["config.json"]
    assert not hub.asked("/api/")
    assert all(FIRST_COMMIT in request.path for request in hub.asked("/resolve/"))


def test_a_pinned_file_that_changed_at_the_hub_is_refused(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    (folder / FIRST).unlink()
    hub.files[FIRST] = b"others"
    with pytest.raises(HashMismatch, match=r"(?s)holds another file.*pinned\.json"):
        ensure(ENTRY, tmp_path, origins=origins(hub))
    assert FIRST not in files_in(folder)


def test_a_pin_brought_from_another_machine_is_what_the_pull_has_to_meet(hub: StandInHub, tmp_path: Path) -> None:
    pinned = ensure(ENTRY, tmp_path / "there", origins=origins(hub)) / "pinned.json"
    folder = model_folder(ENTRY, tmp_path / "here")
    folder.mkdir(parents=True)
    (folder / "pinned.json").write_bytes(pinned.read_bytes())
    hub.commit = NEXT_COMMIT
    assert files_in(ensure(ENTRY, tmp_path / "here", origins=origins(hub))) == TAKEN
    hub.files["config.json"] = b"{}"
    (folder / "config.json").unlink()
    with pytest.raises(HashMismatch):
        ensure(ENTRY, tmp_path / "here", origins=origins(hub))


def test_changed_weights_and_weights_that_nobody_pinned_are_found(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    (folder / FIRST).write_bytes(b"changed")
    (folder / "extra.safetensors").write_bytes(b"smuggled")
    problems = {check.path: check.problem for check in verify(ENTRY, tmp_path) if check.problem}
    assert set(problems) == {FIRST, "extra.safetensors"}
    assert problems["extra.safetensors"] == "not pinned"


def test_another_revision_in_the_catalog_is_pinned_anew_and_old_weights_go(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    later = replace(ENTRY, repository="hf://owner/name@v2")
    assert missing_files(later, tmp_path) == ["pinned.json"]
    hub.commit = NEXT_COMMIT
    del hub.files[SECOND]
    ensure(later, tmp_path, origins=origins(hub))
    assert files_in(folder) == TAKEN - {SECOND}
    assert json.loads((folder / "pinned.json").read_text())["commit"] == NEXT_COMMIT
    assert len(hub.asked(f"/{FIRST}")) == 2  # once at the hub, once at its store: the same bytes are not fetched again


def test_a_damaged_pin_does_not_hide_the_other_models(
    hub: StandInHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(ENTRY, name="other-fp8")
    ensure(other, tmp_path, origins=origins(hub))
    (ensure(ENTRY, tmp_path, origins=origins(hub)) / "pinned.json").write_text("{")
    listed = list_models(Catalog((ENTRY, other)), tmp_path)
    assert [(status.installed, status.bytes == ENTRY.weights_bytes) for status in listed] == [
        (False, True),
        (True, False),
    ]
    assert [is_installed(entry, tmp_path) for entry in (ENTRY, other)] == [False, True]
    assert "tiny-fp8 is taken as not installed" in caplog.text


def test_a_damaged_pin_is_not_replaced_without_a_word(hub: StandInHub, tmp_path: Path) -> None:
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    for text in ("{", '{"repository": "hf://owner/name@main", "commit": "x", "files": []}'):
        (folder / "pinned.json").write_text(text)
        with pytest.raises(ModelError, match="remove that file, then pull"):
            ensure(ENTRY, tmp_path, origins=origins(hub))


@pytest.mark.parametrize("path", ["config.json", FIRST])
def test_wrong_bytes_are_refused_at_the_first_pull(hub: StandInHub, tmp_path: Path, path: str) -> None:
    hub.false_bytes[path] = FILES[path][::-1]
    with pytest.raises(HashMismatch, match="another file"):
        ensure(ENTRY, tmp_path, origins=origins(hub))
    assert path not in files_in(model_folder(ENTRY, tmp_path))


def test_a_broken_transfer_goes_on_where_it_broke(hub: StandInHub, tmp_path: Path) -> None:
    hub.breaks, hub.break_after = 2, 100_000
    told: list[int] = []
    folder = ensure(ENTRY, tmp_path, origins=origins(hub), progress=lambda _name, done, _total: told.append(done))
    assert (folder / FIRST).read_bytes() == WEIGHTS
    ranges = [request.range for request in hub.asked(FIRST) if request.host == "store"]
    assert ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert told == sorted(told)
    assert told[-1] == sum(len(FILES[path]) for path in TAKEN)


def test_a_pull_that_failed_is_resumed_by_the_next(hub: StandInHub, tmp_path: Path) -> None:
    hub.breaks, hub.break_after = 1, 100_000
    with pytest.raises(DownloadFailed, match="cannot be fetched"):
        ensure(ENTRY, tmp_path, origins=origins(hub, retry_waits_s=()))
    hub.seen.clear()
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    assert [request.range for request in hub.asked(FIRST) if request.host == "store"] == ["bytes=100000-"]
    assert files_in(folder) == TAKEN


def test_a_cancelled_pull_is_resumed_by_the_next(hub: StandInHub, tmp_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        ensure(ENTRY, tmp_path, origins=origins(hub), cancel=cancel, progress=lambda *_: cancel.cancel())
    assert FIRST not in files_in(model_folder(ENTRY, tmp_path))
    assert files_in(ensure(ENTRY, tmp_path, origins=origins(hub))) == TAKEN


def test_a_store_that_cannot_begin_in_the_middle_is_read_from_the_start(hub: StandInHub, tmp_path: Path) -> None:
    hub.breaks, hub.break_after, hub.honours_ranges = 1, 100_000, False
    folder = ensure(ENTRY, tmp_path, origins=origins(hub))
    assert (folder / FIRST).read_bytes() == WEIGHTS


def test_a_partial_file_of_other_bytes_does_not_stay_in_the_way(hub: StandInHub, tmp_path: Path) -> None:
    hub.breaks, hub.break_after = 1, 100_000
    with pytest.raises(DownloadFailed):
        ensure(ENTRY, tmp_path, origins=origins(hub, retry_waits_s=()))
    (partial,) = model_folder(ENTRY, tmp_path).glob(".partial-*")
    partial.write_bytes(bytes(100_000))
    with pytest.raises(HashMismatch):
        ensure(ENTRY, tmp_path, origins=origins(hub))
    assert files_in(ensure(ENTRY, tmp_path, origins=origins(hub))) == TAKEN


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    hub: StandInHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub.licence_token = "hf_secret"
    with caplog.at_level(logging.DEBUG, logger="models"):
        ensure(ENTRY, tmp_path, origins=origins(hub, hub_token="hf_secret"))
    assert {request.token for request in hub.seen if request.host == "hub"} == {"Bearer hf_secret"}
    assert {request.token for request in hub.seen if request.host == "store"} == {None}
    assert "hf_secret" not in caplog.text + repr(origins(hub, hub_token="hf_secret"))


def test_a_gated_model_names_its_licence_page_and_the_variable(hub: StandInHub, tmp_path: Path) -> None:
    hub.licence_token = "right"
    with pytest.raises(
        DownloadFailed, match=r"/owner/name is refused without an account .*accept the licence.*HF_TOKEN"
    ):
        ensure(ENTRY, tmp_path, origins=origins(hub))
    with pytest.raises(DownloadFailed, match=r"/owner/name is refused to the account of HF_TOKEN") as failure:
        ensure(ENTRY, tmp_path, origins=origins(hub, hub_token="wrong-token"))
    assert "wrong-token" not in str(failure.value)
    assert not hub.asked(".safetensors")


def test_a_repository_that_does_not_exist_is_named(hub: StandInHub, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"owner/absent.* is not there \(status 404, Repository not found\)"):
        ensure(replace(ENTRY, repository="hf://owner/absent@main"), tmp_path, origins=origins(hub))


def test_a_hub_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"http://127\.0\.0\.1:9/.* cannot be fetched.*HF_ENDPOINT"):
        ensure(ENTRY, tmp_path, origins=Origins(hub_url="http://127.0.0.1:9"))


def test_a_disk_that_is_too_small_is_noticed_before_the_weights_come(hub: StandInHub, tmp_path: Path) -> None:
    huge = listed("huge.safetensors", b"") | {"size": 10**18}
    hub.extra_rows.append(huge)
    with pytest.raises(DownloadFailed, match=r"needs 1000000000\.\d\d GB more .* GB free.*LECTERN_CACHE"):
        ensure(ENTRY, tmp_path, origins=origins(hub))
    assert not hub.asked("/resolve/" + FIRST_COMMIT + "/model")


def test_only_what_the_catalog_names_is_taken_of_a_repository_of_many(hub: StandInHub, tmp_path: Path) -> None:
    hub.files |= {"m-Q4_K_M.gguf": b"four bits", "m-Q8_0.gguf": b"eight bits"}
    entry = replace(ENTRY, repository_files=("*Q4_K_M.gguf",))
    assert files_in(ensure(entry, tmp_path, origins=origins(hub))) == {"m-Q4_K_M.gguf"}


def test_a_store_whose_address_has_run_out_is_reached_through_the_hub_again(hub: StandInHub, tmp_path: Path) -> None:
    hub.store_refusals = 2
    ensure(ENTRY, tmp_path, origins=origins(hub))
    assert len([request for request in hub.asked(FIRST) if request.host == "hub"]) == 3
    hub.store_refusals = 3
    with pytest.raises(DownloadFailed, match=r"cannot be fetched now: status 403"):
        ensure(ENTRY, tmp_path / "other", origins=origins(hub))


def test_a_page_that_is_no_listing_is_refused(hub: StandInHub, tmp_path: Path) -> None:
    hub.extra_rows.append({"type": "file", "path": "config.json", "size": 2})
    with pytest.raises(DownloadFailed, match=r"list of files .* cannot be understood"):
        ensure(ENTRY, tmp_path, origins=origins(hub))
