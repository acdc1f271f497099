"""The language models that may answer: this machine's, by its plan, and those that others serve. None is started."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from models.cancellation import CancelToken
from models.devices import Devices
from models.engines.hosts import host_of, place_of, require_allowed
from models.engines.inventory import served_models
from models.engines.keys import KeyedEndpoint
from models.engines.trtllm_installation import trtllm_version
from models.errors import EngineError, EngineMisconfigured, EngineRefused, ModelError
from rag.errors import BadInput
from rag.examination.finding import Finding, error, ok, warning
from rag.local_model import Installed, LocalModel
from rag.settings import EngineSetting

ANSWER_S = 2.0
_PLAN = "`python app.py models plan` shows what runs here, and with which settings"


def examine_local(model: LocalModel | None, reason: str, others: Collection[EngineSetting], wanted: bool) -> Finding:
    """The model that was chosen for this machine and how well it fits, or why there is none. `wanted`: the settings let
    one run here; `others` write answers without it."""
    written = f"answers are written by {', '.join(engine.name for engine in others)}"
    if model:
        detail = f"{reason} [{model.profile.name}, {model.profile.fit}]"
        fits = model.profile.fit == "runnable"
        return ok("language model", detail) if fits else warning("language model", detail, _PLAN)
    if others and not wanted:
        return ok("language model", f"{reason}; {written}")
    return warning("language model", f"{reason}; {written if others else 'answers only quote the documents'}", _PLAN)


def examine_trtllm(installed: Installed, devices: Devices, named: bool) -> Iterator[Finding]:
    """The environment of TensorRT-LLM, where a GPU or a setting makes it of interest. `named`: a setting names it."""
    program = installed.trtllm_serve
    if program is None:
        if named:
            yield error("TensorRT-LLM", installed.trtllm_reason, "name its `trtllm-serve` in LECTERN_TRTLLM_SERVE")
        elif devices.gpus:
            remedy = "`make venv-tensorrt` (docs/tensorrt-llm.md); without it, GPUs do not speed up the language model"
            yield warning("TensorRT-LLM", installed.trtllm_reason, remedy)
        return
    version = trtllm_version(program)
    python = next((folder.name for folder in program.resolve().parent.parent.glob("lib/python3*")), "an unknown Python")
    if version is None:
        remedy = "install requirements-tensorrt.txt in that environment: `make venv-tensorrt`"
        yield warning("TensorRT-LLM", f"{program}, but its environment has no TensorRT-LLM", remedy)
    else:
        yield ok("TensorRT-LLM", f"{version} for {python}, {installed.trtllm_reason}")


def examine_remote(setting: EngineSetting, allowed_hosts: Collection[str]) -> Finding:
    """One engine that others serve: allowed, its key there, reachable, with the model. A key leaves this machine only
    for a host that is allowed."""
    check = f"engine {setting.name}"
    try:
        place, host = place_of(setting.url), host_of(setting.url)
        endpoint = KeyedEndpoint(setting.name, setting.url, setting.key_variable, setting.key_file)
        require_allowed(setting.url, allowed_hosts, has_key=endpoint.has_key)
        models = served_models(setting.name, endpoint.address(CancelToken()), allowed_hosts, wait_s=ANSWER_S)
    except EngineMisconfigured as exc:
        return error(check, str(exc), "correct it in LECTERN_ENGINES or LECTERN_ALLOW_CHAT; nothing was sent")
    except EngineRefused as exc:
        keyed = exc.status in (401, 403)
        return error(check, str(exc), "its key is refused: renew it" if keyed else "correct its url")
    except EngineError as exc:
        return warning(check, str(exc), "start it, or wait until it has loaded; meanwhile others answer, or quotes")
    if setting.model not in models:
        served = ", ".join(models) or "no model"
        return error(check, f"it serves {served}, not {setting.model}", "correct its `model` in LECTERN_ENGINES")
    if setting.tokenizer and not setting.tokenizer.expanduser().is_file():
        return error(check, f"its tokenizer {setting.tokenizer} is not there", "correct `tokenizer`, or leave it out")
    return ok(check, f"serves {setting.model}; {place}, at {host}")


def examine_refusal(exc: BadInput | ModelError) -> Finding:
    """A setting that names what there is not, or what cannot be used."""
    return error("language model", str(exc), f"correct that setting; {_PLAN}")
