"""What `trtllm-serve` 1.2 knows, and nothing else: its flags, the keys of its configuration, the fields of a request.

The names were read from TensorRT-LLM's own sources (`commands/serve.py`, `llmapi/llm_args.py`,
`serve/openai_protocol.py`). Only those that Lectern could have a use for are listed: a name that is real but not here
is refused all the same, so that nothing is sent by accident.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

KV_CACHE = {
    "enable_block_reuse", "max_tokens", "max_attention_window", "free_gpu_memory_fraction", "host_cache_size", "dtype",
    "tokens_per_block", "enable_partial_reuse", "copy_on_partial_reuse", "max_gpu_total_bytes",
}  # fmt: skip
CONFIGURATION: dict[str, set[str] | None] = {
    "backend": None,
    "tokenizer": None,
    "dtype": None,
    "trust_remote_code": None,
    "tensor_parallel_size": None,
    "gpus_per_node": None,
    "max_batch_size": None,
    "max_num_tokens": None,
    "max_seq_len": None,
    "enable_chunked_prefill": None,
    "enable_iter_perf_stats": None,
    "iter_stats_max_iterations": None,
    "return_perf_metrics": None,
    "guided_decoding_backend": None,
    "disable_overlap_scheduler": None,
    "enable_lora": None,
    "kv_cache_config": KV_CACHE,
    "cuda_graph_config": {"batch_sizes", "max_batch_size", "enable_padding"},
    "lora_config": {"lora_dir", "lora_target_modules", "max_lora_rank", "max_loras", "max_cpu_loras"},
    "speculative_config": {
        "decoding_type", "max_draft_len", "max_concurrency", "max_matching_ngram_size", "is_keep_all", "is_use_oldest",
        "is_public_pool",
    },
    "scheduler_config": {"capacity_scheduler_policy", "context_chunking_policy"},
}  # fmt: skip
"""Each key, and the keys below it where it is a mapping."""

REQUEST = {
    "messages", "model", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "max_completion_tokens",
    "max_tokens", "n", "presence_penalty", "response_format", "seed", "stop", "stream", "stream_options", "temperature",
    "top_p", "tools", "tool_choice", "user", "reasoning_effort", "best_of", "use_beam_search", "top_k", "top_p_min",
    "min_p", "repetition_penalty", "length_penalty", "stop_token_ids", "include_stop_str_in_output", "ignore_eos",
    "min_tokens", "skip_special_tokens", "truncate_prompt_tokens", "lora_request", "add_generation_prompt",
    "add_special_tokens", "documents", "chat_template", "chat_template_kwargs", "cache_salt",
}  # fmt: skip
LORA_REQUEST = {"lora_name", "lora_int_id", "lora_path", "lora_ckpt_source"}


def parse_command_line(arguments: list[str]) -> argparse.Namespace:
    """As click would: an unknown flag ends the program with status 2."""
    parser = argparse.ArgumentParser("trtllm-serve", allow_abbrev=False)
    parser.add_argument("model")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--config", "--extra_llm_api_options", dest="config")
    parser.add_argument("--backend", choices=("pytorch", "tensorrt", "_autodeploy"))
    parser.add_argument("--log_level", default="info")
    for flag in ("--max_batch_size", "--max_num_tokens", "--max_seq_len"):
        parser.add_argument(flag, type=int)
    parser.add_argument("--tensor_parallel_size", "--tp_size", type=int)
    parser.add_argument("--free_gpu_memory_fraction", "--kv_cache_free_gpu_memory_fraction", type=float)
    parser.add_argument("--enable_chunked_prefill", action="store_true", default=None)
    parser.add_argument("--tokenizer")
    if arguments[:1] == ["serve"]:
        arguments = arguments[1:]
    return parser.parse_args(arguments)


def read_configuration(options: argparse.Namespace) -> dict[str, Any]:
    """Raises ValueError for a key that is not known, and for a setting that flag and file both give: which of them
    holds is different from version to version."""
    if options.config is None:
        return {}
    with open(options.config, encoding="utf-8") as file:
        configuration = json.load(file)  # any JSON is YAML
    _check_keys(configuration)
    twice = [key for key in configuration if getattr(options, key, None) is not None]
    if "free_gpu_memory_fraction" in configuration.get("kv_cache_config", {}) and options.free_gpu_memory_fraction:
        twice.append("free_gpu_memory_fraction")
    if twice:
        raise ValueError(f"given on the command line and in {options.config}: {', '.join(twice)}")
    return dict(configuration)


def _check_keys(configuration: dict[str, Any]) -> None:
    for key, value in configuration.items():
        if key not in CONFIGURATION:
            raise ValueError(f"1 validation error for TorchLlmArgs\n{key}\n  Extra inputs are not permitted")
        below = CONFIGURATION[key]
        unknown = set(value) - below if below is not None else ()
        if unknown:
            raise ValueError(
                f"1 validation error for TorchLlmArgs\n{key}.{min(unknown)}\n  Extra inputs are not permitted"
            )


def complaint(request: dict[str, Any]) -> str | None:
    """What pydantic says of a request that it refuses, in its own odd way of writing it."""
    for name in ("messages", "model"):
        if name not in request:
            return str([{"type": "missing", "loc": ("body", name), "msg": "Field required", "input": request}])
    for name in request:
        if name not in REQUEST:
            return _extra(("body", name), request[name])
    for name in request.get("stream_options") or {}:
        if name not in {"include_usage", "continuous_usage_stats"}:
            return _extra(("body", "stream_options", name), request["stream_options"][name])
    for name in request.get("lora_request") or {}:
        if name not in LORA_REQUEST:
            return _extra(("body", "lora_request", name), request["lora_request"][name])
    if request.get("stream_options") is not None and not request.get("stream"):
        return _value(("body",), "stream_options can only be set if stream is true", request)
    salt = request.get("cache_salt")
    if salt is not None and not (isinstance(salt, str) and salt.strip()):
        return _value(("body", "cache_salt"), "Parameter 'cache_salt' must be a non-empty string if provided.", salt)
    return None


def _extra(place: tuple[str, ...], value: object) -> str:
    return str([{"type": "extra_forbidden", "loc": place, "msg": "Extra inputs are not permitted", "input": value}])


def _value(place: tuple[str, ...], message: str, value: object) -> str:
    return str([{"type": "value_error", "loc": place, "msg": f"Value error, {message}", "input": value}])
