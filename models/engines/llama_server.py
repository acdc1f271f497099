"""The child process that runs llama.cpp's own OpenAI-style server. Started by `models.engines.llama_cpp`, not by hand.

It says its address in one JSON line on standard output when the model is loaded, and ends when its standard input
does: when the parent closes the pipe, or dies in whatever way. (A death signal from Linux would not do: it is sent
when the *thread* that started the child ends.)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from typing import TYPE_CHECKING

from models.planning.memory import EARLIER_PROMPTS_BYTES, LLAMA_BATCH_TOKENS

if TYPE_CHECKING:
    import xllamacpp

API_KEY_VARIABLE = "LECTERN_LLAMA_API_KEY"


def main() -> None:
    arguments = _parse()
    announcements = _reserve_standard_output()
    # On a thread of its own, so that it also ends while the model is being loaded.
    watch = threading.Thread(target=_end_with_parent, daemon=True)
    watch.start()
    server = _start(arguments)
    os.write(announcements, json.dumps({"url": server.listening_address}).encode() + b"\n")
    watch.join()


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1 << 16):
        pass
    # Not `sys.exit`: the server's destructor would wait for the running generation, and nobody is left to read it.
    os._exit(0)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="llama.cpp as a supervised child; see models/engines/llama_cpp.py")
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    for number in ("--context-tokens", "--decode-threads", "--prefill-threads"):
        parser.add_argument(number, type=int, required=True)
    parser.add_argument("--gpu", action="store_true", help="put as many layers as fit on the visible GPUs")
    return parser.parse_args()


def _reserve_standard_output() -> int:
    """A private copy of standard output; what llama.cpp itself prints goes to the log with standard error."""
    announcements = os.dup(1)
    os.dup2(2, 1)
    return announcements


def _start(arguments: argparse.Namespace) -> xllamacpp.Server:
    """Returns when the model is loaded and the port, a free one, is open."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = arguments.model
    parameters.model_alias = {arguments.alias}
    parameters.n_ctx = arguments.context_tokens
    parameters.n_parallel = 1
    parameters.n_batch = LLAMA_BATCH_TOKENS
    parameters.n_ubatch = LLAMA_BATCH_TOKENS
    # By default both take every core there is, and poll: ten times slower as soon as something else runs.
    parameters.cpuparams.n_threads = arguments.decode_threads
    parameters.cpuparams_batch.n_threads = arguments.prefill_threads
    parameters.cpuparams.poll = 0
    parameters.cpuparams_batch.poll = 0
    parameters.n_gpu_layers = -1 if arguments.gpu else 0
    # The prompt of the question before stays in the one slot: a follow-up reads only what is new in its own.
    parameters.cache_prompt = True
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [os.environ[API_KEY_VARIABLE]]
    # Less to attack and nothing that shows one user's prompt to another.
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.cache_ram_mib = EARLIER_PROMPTS_BYTES >> 20
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    main()
