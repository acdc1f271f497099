"""`models plan --engine-config`: the plan as the configuration of a `trtllm-serve` that somebody else starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import BadInput

if TYPE_CHECKING:
    from web.model_plan import Plan


def write_engine_file(plan: Plan, file: Path) -> None:
    """Write it to `file`, and say with which variables `compose.yaml` goes with it. Raises BadInput for a plan that no
    `trtllm-serve` can carry out, and for a file that cannot be written."""
    from models.engines.trtllm_configuration import configuration, write_configuration

    chosen = plan.chosen
    if chosen.backend != "tensorrt-llm" or chosen.fit == "incompatible":
        raise BadInput(f"{file} is not written, since TensorRT-LLM does not run this here: {plan.reason}.")
    if plan.wishes.adapters:
        raise BadInput(
            f"{file} is not written: adapters (LECTERN_LORA) need the engine that Lectern starts itself; unset it, or "
            "merge the adapter into the checkpoint."
        )
    try:
        # In a container of its own, which starts before Lectern.
        write_configuration(configuration(chosen, first_on_card=True), file)
    except OSError as exc:
        raise BadInput(f"{file} cannot be written: {exc.strerror}.") from exc
    gpus = ",".join(map(str, chosen.gpus))
    # One's own checkpoint goes by its path; trtllm-serve calls a model by the name of its folder.
    model = Path(chosen.model).name
    variables = f"ENGINE_MODEL={model} ENGINE_CONTEXT_TOKENS={chosen.context_tokens} ENGINE_GPUS={gpus}"
    print(f"Written to {file}. For compose.yaml, in .env: {variables}", file=sys.stderr)
