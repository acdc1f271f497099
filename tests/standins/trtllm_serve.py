#!/usr/bin/env python3
"""A strict stand-in for `trtllm-serve`: its command line, its configuration, its HTTP routes, its bad moments.

    trtllm_serve.py [serve] MODEL --host 127.0.0.1 --port 8000 --config cfg.yml

Needs nothing but Python. MODEL is a folder with a `config.json`; its name is the model's name. The configuration must
be JSON. What it refuses stands in `trtllm_fields.py`. Like the real one it answers 400 to a field that it does not
know, opens its port late, says 503 on `/health` while it is unwell, gives `/metrics` as JSON that is gone when read,
and aborts a generation whose client has left. A word is a token; the reply is always the same.

The environment says how it behaves:

    STANDIN_FOLDER        a folder for what it saw: `starts` (a line a start: the process id), `requests` (a JSON line a
                          request: method, path, body), `aborted` (a line a generation that was aborted); and for what
                          it is told while it runs: a file `unwell` there makes `/health` say 503
    STANDIN_SILENT_S      how long nobody listens on the port after the start (0)
    STANDIN_LOADING_S     how long `/health` then says 503 (0); its log tells how much of the weights is loaded
    STANDIN_HALF_READY_S  how long `/health` then says 200 although a completion still fails with 500 (0)
    STANDIN_CRASHES       how many of the first starts end with status 1 in place of getting ready; needs the folder
    STANDIN_CRASH_AFTER_S it dies this long after it got ready
    STANDIN_IGNORE_TERM   1: neither it nor its workers end on SIGTERM
    STANDIN_REPLY         what it answers
    STANDIN_TOKEN_S       how long it takes over each token (0)

A message with the words CRASH NOW kills it after the reply's first token. Two workers are beside it, as MPI's are: one
in a session of its own, and one whose parent has gone.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from trtllm_fields import complaint, parse_command_line, read_configuration

REPLY = "The answer stands on page one of the handbook, and it is forty-two."
BLOCK_TOKENS = 32


def seconds(name: str) -> float:
    return float(os.environ.get(name) or 0)


class Diary:
    """What the tests read: lines in files of STANDIN_FOLDER, if there is one."""

    def __init__(self) -> None:
        named = os.environ.get("STANDIN_FOLDER")
        self._folder = Path(named) if named else None
        self._lock = threading.Lock()

    def note(self, file: str, line: str) -> int:
        """How many lines the file then has."""
        if self._folder is None:
            return 0
        with self._lock, (self._folder / file).open("a+", encoding="utf-8") as diary:
            diary.write(line + "\n")
            diary.seek(0)
            return len(diary.readlines())

    @property
    def unwell(self) -> bool:
        return self._folder is not None and (self._folder / "unwell").exists()


class Engine:
    """The model, as far as one can be told apart from a real one over HTTP."""

    def __init__(self, name: str, configuration: dict[str, Any], diary: Diary) -> None:
        self.name = name
        self.configuration = configuration
        self.diary = diary
        self.loaded = False
        self.answers = False
        self.reply = os.environ.get("STANDIN_REPLY", REPLY).split(" ")
        self.context_tokens = int(configuration.get("max_seq_len") or 8192)
        self._lock = threading.Lock()
        self._statistics: collections.deque[dict[str, Any]] = collections.deque(maxlen=1000)
        self._iterations = 0
        self._active = 0
        self._prompts: dict[str, list[str]] = {}

    def load(self) -> None:
        until_loaded_s = seconds("STANDIN_LOADING_S")
        for percent in range(0, 100, 10):
            bar = "#" * (percent // 10)
            print(f"\rLoading weights: {percent:3d}%|{bar:10}| {percent}/100", end="", file=sys.stderr, flush=True)
            time.sleep(until_loaded_s / 10)
        print("\rLoading weights: 100%|##########| 100/100", file=sys.stderr, flush=True)
        self.loaded = True
        time.sleep(seconds("STANDIN_HALF_READY_S"))
        self.answers = True
        if seconds("STANDIN_CRASH_AFTER_S"):
            time.sleep(seconds("STANDIN_CRASH_AFTER_S"))
            os._exit(139)

    def begin(self, salt: str, prompt: list[str]) -> int:
        """How many tokens of the prompt stood in the cache: whole blocks, and only of the same salt."""
        with self._lock:
            self._active += 1
            before = self._prompts.get(salt, [])
            self._prompts[salt] = prompt
        if not self.configuration.get("kv_cache_config", {}).get("enable_block_reuse", True):
            return 0
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, prompt, strict=False))
        return len(list(same)) // BLOCK_TOKENS * BLOCK_TOKENS

    def iterate(self) -> None:
        with self._lock:
            self._iterations += 1
            if self.configuration.get("enable_iter_perf_stats"):
                self._statistics.append(self._iteration())

    def end(self) -> None:
        with self._lock:
            self._active -= 1

    def drain(self) -> list[dict[str, Any]]:
        with self._lock:
            drained = list(self._statistics)
            self._statistics.clear()
            return drained

    def _iteration(self) -> dict[str, Any]:
        most = int(self.configuration.get("kv_cache_config", {}).get("max_tokens") or 32768) // BLOCK_TOKENS
        cache = {
            "maxNumBlocks": most, "freeNumBlocks": most - self._active, "usedNumBlocks": self._active,
            "tokensPerBlock": BLOCK_TOKENS, "allocTotalBlocks": 9, "allocNewBlocks": 9, "reusedBlocks": 3,
            "missedBlocks": 6, "cacheHitRate": 0.25,
        }  # fmt: skip
        batching = {
            "numScheduledRequests": self._active, "numContextRequests": 0, "numGenRequests": self._active,
            "numPausedRequests": 0, "numCtxTokens": 0, "microBatchId": 0, "avgNumDecodedTokensPerIter": 1.0,
        }  # fmt: skip
        return {
            "iter": self._iterations, "iterLatencyMS": 7.5, "timestamp": "11-23-2026 12:00:00.000000",
            "numActiveRequests": self._active, "numQueuedRequests": 0, "numCompletedRequests": 0,
            "maxNumActiveRequests": int(self.configuration.get("max_batch_size") or 8), "gpuMemUsage": 9_663_676_416,
            "cpuMemUsage": 0, "pinnedMemUsage": 0, "kvCacheStats": cache, "inflightBatchingStats": batching,
        }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.engine.diary.note("requests", json.dumps({"method": "GET", "path": self.path, "body": None}))
        if self.path == "/health":
            well = self.engine.loaded and not self.engine.diary.unwell
            self._send(200 if well else 503, b"" if well else b"LLM is unavailable. Please check the server logs.")
        elif self.path == "/v1/models":
            card = {"id": self.engine.name, "object": "model", "created": 1, "owned_by": "tensorrt_llm"}
            self._json(200, {"object": "list", "data": [card]})
        elif self.path == "/metrics":
            self._json(200, self.engine.drain())
        elif self.path == "/version":
            self._json(200, {"version": "1.2.1"})
        else:
            self._json(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        try:
            request = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        except ValueError as exc:
            return self._json(400, {"error": f"JSON decode error: {exc}"})
        self.engine.diary.note("requests", json.dumps({"method": "POST", "path": self.path, "body": request}))
        if self.path in ("/release_memory", "/resume_memory", "/update_weights"):
            return self._json(200, {"status": "success"})
        if self.path != "/v1/chat/completions":
            return self._json(404, {"detail": "Not Found"})
        if refused := complaint(request):
            return self._json(400, {"error": refused})
        return self._chat(request)

    def _chat(self, request: dict[str, Any]) -> None:
        prompt = " ".join(str(message.get("content")) for message in request["messages"]).split()
        limit = int(request.get("max_tokens") or request.get("max_completion_tokens") or self.engine.context_tokens)
        if not self.engine.answers:
            return self._flat(500, "InternalServerError", "the executor worker has not started")
        if limit < 1 or len(prompt) >= self.engine.context_tokens:
            return self._flat(400, "BadRequestError", f"prompt length ({len(prompt)}) does not fit {limit} more tokens")
        cached = self.engine.begin(str(request.get("cache_salt") or ""), prompt)
        try:
            words, crash = self.engine.reply[:limit], "CRASH NOW" in str(request["messages"])
            finish = "stop" if len(words) == len(self.engine.reply) else "length"
            usage = {
                "prompt_tokens": len(prompt), "completion_tokens": len(words), "total_tokens": len(prompt) + len(words),
                "prompt_tokens_details": {"cached_tokens": cached},
            }  # fmt: skip
            if request.get("stream"):
                self._stream(request, words, finish, usage, crash)
            else:
                self._whole(words, finish, usage, crash)
        finally:
            self.engine.end()

    def _whole(self, words: list[str], finish: str, usage: dict[str, Any], crash: bool) -> None:
        if not all(self._token(crash and i > 0) for i, _ in enumerate(words)):
            return
        message = {"role": "assistant", "content": " ".join(words), "tool_calls": []}
        choice = {"index": 0, "message": message, "finish_reason": finish, "stop_reason": None}
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion", "created": int(time.time())}
        self._json(200, {**head, "model": self.engine.name, "choices": [choice], "usage": usage})

    def _stream(
        self, request: dict[str, Any], words: list[str], finish: str, usage: dict[str, Any], crash: bool
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion.chunk", "created": int(time.time())}
        head["model"] = self.engine.name
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": word if i == 0 else " " + word}, None) for i, word in enumerate(words)]
        for i, (delta, reason) in enumerate([*deltas, ({"content": ""}, finish)]):
            if 0 < i <= len(words) and not self._token(crash and i > 1):
                return
            choice = {"index": 0, "delta": delta, "finish_reason": reason, "stop_reason": None}
            self._chunk(f"data: {json.dumps({**head, 'choices': [choice]})}\n\n")
        if (request.get("stream_options") or {}).get("include_usage"):
            self._chunk(f"data: {json.dumps({**head, 'choices': [], 'usage': usage})}\n\n")
        self._chunk("data: [DONE]\n\n")
        self._chunk("")

    def _token(self, crash: bool) -> bool:
        """Make one; false when the client has left, so that no more are wanted."""
        if crash:
            os._exit(139)
        until = time.monotonic() + seconds("STANDIN_TOKEN_S")
        while True:
            readable, _, _ = select.select([self.connection], [], [], max(0.0, until - time.monotonic()))
            if readable and self._client_has_left():
                self.engine.diary.note("aborted", "client left")
                self.close_connection = True
                return False
            if time.monotonic() >= until:
                self.engine.iterate()
                return True
            if readable:
                time.sleep(0.01)

    def _client_has_left(self) -> bool:
        try:
            return self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _chunk(self, text: str) -> None:
        data = text.encode()
        try:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        except OSError:  # `_token` notices that the client has left
            self.close_connection = True

    def _flat(self, status: int, kind: str, message: str) -> None:
        self._json(status, {"object": "error", "message": message, "type": kind, "param": None, "code": status})

    def _json(self, status: int, document: object) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        print(f"INFO: {self.client_address[0]} - {format % args}", file=sys.stderr, flush=True)


def start_workers() -> None:
    ignore = ""
    if os.environ.get("STANDIN_IGNORE_TERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ignore = "trap '' TERM; "
    subprocess.Popen(["sh", "-c", f"{ignore}exec sleep 3600"], start_new_session=True)
    subprocess.run(["sh", "-c", f"{ignore}sleep 3600 &"], start_new_session=True, check=True)


def main() -> None:
    options = parse_command_line(sys.argv[1:])
    diary = Diary()
    starts = diary.note("starts", str(os.getpid()))
    try:
        configuration = read_configuration(options)
        if not (Path(options.model) / "config.json").is_file():
            raise ValueError(f"{options.model} is no folder with a config.json")
    except (OSError, ValueError) as exc:
        sys.exit(f"trtllm-serve: {exc}")
    start_workers()
    if starts and starts <= int(os.environ.get("STANDIN_CRASHES") or 0):
        sys.exit(f"RuntimeError: CUDA out of memory, start {starts}")
    time.sleep(seconds("STANDIN_SILENT_S"))
    Handler.engine = Engine(Path(options.model).name, configuration, diary)
    with ThreadingHTTPServer((options.host, options.port), Handler) as server:
        threading.Thread(target=Handler.engine.load, daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main()
