"""Settings: `lectern.toml` and the environment, read once, unknown keys refused."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import platformdirs
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from rag.errors import BadInput

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# ISO 639-1, or one of Tesseract's own names.
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[a-z_]+)?")


class EngineSetting(BaseModel):
    """A language model that somebody else serves: any OpenAI-compatible endpoint (NIM, vLLM, Triton, trtllm-serve)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    url: str
    model: str = Field(min_length=1)
    context_tokens: int = Field(default=8192, ge=1024)
    key_variable: str = ""
    """The environment variable that holds its API key."""
    key_file: Path | None = None
    """A file that holds its API key, a Docker secret say."""
    tokenizer: Path | None = None
    """Its `tokenizer.json`, so that prompts are cut to its own tokens. Without it a near engine that can count is
    asked, and for others each byte counts as a token, which leaves much of a small context unused."""
    silence_s: float = Field(default=120.0, gt=0)
    """How long it may say nothing."""

    @model_validator(mode="after")
    def _one_key(self) -> EngineSetting:
        if self.key_variable and self.key_file:
            raise ValueError(f"{self.name} has a key_variable and a key_file: name one of them")
        return self


class Settings(BaseSettings):
    """Everything that can be set. A value comes from the environment (`LECTERN_PORT`), else from `lectern.toml` in the
    current folder, else from here; NIM's own variables are honoured where they mean the same."""

    model_config = SettingsConfigDict(
        env_prefix="LECTERN_",
        env_ignore_empty=True,
        toml_file="lectern.toml",
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("lectern")))
    """The data folder: database, index caches, logs."""
    cache: Path = Field(
        default_factory=lambda: Path(platformdirs.user_cache_dir("lectern")),
        validation_alias=AliasChoices("LECTERN_CACHE", "NIM_CACHE_PATH"),
    )
    """Where model weights lie; may be shared by several data folders."""
    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535, validation_alias=AliasChoices("LECTERN_PORT", "NIM_SERVER_PORT"))
    embedder: str = "all-minilm-l6-v2"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where embedder, reranker and index run."""
    reranker: str = ""
    """The folder of a cross-encoder that orders the passages anew; none without it."""
    llm: str = "auto"
    """A language model or a family of the catalog; `auto` takes the best for TensorRT-LLM that is in the cache and fits
    the machine's GPUs, else the embedded one."""
    model_path: Path | None = Field(default=None, validation_alias=AliasChoices("LECTERN_MODEL_PATH", "NIM_MODEL_PATH"))
    """One's own checkpoint (a folder of safetensors for TensorRT-LLM, or a GGUF file) instead of `llm`."""
    lora: tuple[Path, ...] = ()
    """Folders of LoRA adapters for the local language model."""
    profile: str = Field(default="", validation_alias=AliasChoices("LECTERN_PROFILE", "NIM_MODEL_PROFILE"))
    """How the language model runs, as `models plan` names it ("trtllm-fp8-tp1"); else the best that fits."""
    context_tokens: int = Field(
        default=8192, ge=1024, validation_alias=AliasChoices("LECTERN_CONTEXT_TOKENS", "NIM_MAX_MODEL_LEN")
    )
    """How long prompt and answer may be together."""
    concurrency: int = Field(default=4, ge=1)
    """For how many answers at a time a GPU's memory is planned."""
    gpus: tuple[int, ...] = ()
    """The driver's indices of the GPUs to use; all of them without it."""
    trtllm_serve: str = ""
    """The `trtllm-serve` to run; else that of `.venv-tensorrt`, or of the PATH."""
    engines: tuple[EngineSetting, ...] = ()
    """Further language models, which stand in when the local one fails: those of one's own network first, then remote
    ones, each in this order."""
    local_engine: bool = True
    """Whether a language model runs on this machine at all."""
    allow_chat: tuple[str, ...] = ()
    """Hosts outside this machine that questions and text of documents may be sent to."""
    mode: Literal["auto", "quote", "generate"] = "auto"
    """How questions are answered when they do not say: `auto` goes by the model's measured ability."""
    threads: int = Field(default=0, ge=0)
    """Processor threads for embedding and the language model; 0 chooses."""
    parsers: int = Field(default=0, ge=0)
    """Files read at a time; 0 chooses."""
    ocr: Literal["rapidocr", "tesseract", "off"] = "rapidocr"
    """What recognises text in scanned pages and pictures."""
    ocr_languages: Annotated[tuple[str, ...], NoDecode] = ("en",)
    """Languages of such texts, the most frequent first, by their ISO 639-1 codes: `en,de`."""
    rescan_s: float = Field(default=0.0, ge=0)
    """How often a followed folder is looked at as a whole, beside the changes that the system tells; 0 goes by its
    file system: every 15 minutes on a local disk, every minute on a network drive."""

    @field_validator("ocr_languages", mode="before")
    @classmethod
    def _parted(cls, languages: object) -> object:
        """From the environment as "en,de"."""
        return tuple(filter(None, re.split(r"[\s,+]+", languages))) if isinstance(languages, str) else languages

    @field_validator("ocr_languages")
    @classmethod
    def _codes(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [language for language in languages if not _LANGUAGE.fullmatch(language)]
        if wrong or not languages:
            raise ValueError(f"{', '.join(wrong) or 'nothing'} is no language code: write ISO 639-1 codes, as in en,de")
        return languages

    @field_validator("engines")
    @classmethod
    def _told_apart(cls, engines: tuple[EngineSetting, ...]) -> tuple[EngineSetting, ...]:
        names = [engine.name for engine in engines]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one engine is named {', '.join(doubled)}")
        return engines

    @field_validator("home", "cache")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        """The processes that Lectern starts have another current folder."""
        return folder.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**given: object) -> Settings:
    """The settings, with what the command line gives on top. Raises BadInput naming the setting and its value."""
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks the types
    except tomllib.TOMLDecodeError as exc:
        raise BadInput(f"lectern.toml is not TOML: {exc}.") from exc
    except SettingsError as exc:
        raise BadInput(f'Wrong settings in the environment: {exc}: write lists as JSON, \'["a", "b"]\'.') from exc
    except ValidationError as exc:
        problems = "; ".join(map(_problem, exc.errors()))
        raise BadInput(f"Wrong settings, in lectern.toml or the environment: {problems}.") from None
    _refuse_unknown({engine.key_variable for engine in settings.engines})
    return settings


def _problem(error: ErrorDetails) -> str:
    """A whole engine, or a field that there is not, is not shown: somebody may have written a key there."""
    place, value = ".".join(map(str, error["loc"])), error["input"]
    shown = isinstance(value, str | int | float) and not (error["type"] == "extra_forbidden" and "engines" in place)
    return f"{place} = {value!r}: {error['msg']}" if shown else f"{place}: {error['msg']}"


def _refuse_unknown(keys: set[str]) -> None:
    """`keys` are variables of the environment that hold keys of engines."""
    known = {f"LECTERN_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in set(os.environ) - known - keys if name.startswith("LECTERN_"))
    if unknown:
        raise BadInput(f"{', '.join(unknown)} means nothing here. The settings are: {', '.join(sorted(known))}.")
