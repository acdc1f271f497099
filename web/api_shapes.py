"""What `/v1/chat/completions` takes, in OpenAI's words and the RAG Blueprint's extension fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.interfaces import ChatMessage
from web.api_errors import ApiError


class TextPart(BaseModel):
    """One part of a message given in parts; only text is taken."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    def plain(self) -> ChatMessage:
        """The message for our models: parts joined, `developer` read as `system`."""
        if isinstance(self.content, list):
            content = "\n".join(part.text for part in self.content)
        else:
            content = self.content or ""
        return ChatMessage("system" if self.role == "developer" else self.role, content)


class StreamOptions(BaseModel):
    include_usage: bool = False


class ResponseFormat(BaseModel):
    type: Literal["text"] = "text"


class ChatRequest(BaseModel):
    """Fields that we do not know are ignored, as OpenAI's clients send many; those that would change what the reply
    means (tools, several choices, JSON replies) are refused rather than ignored."""

    model_config = ConfigDict(extra="ignore")

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[object], Field(max_length=0)] | None = None

    use_knowledge_base: bool = Field(True, description="False: the language model alone, whatever `model` says.")
    collection_names: Annotated[list[str], Field(min_length=1, max_length=1)] | None = None
    enable_citations: bool = True
    mode: Literal["quote", "generate"] | None = Field(None, description="How to answer; without it, Lectern decides.")

    @property
    def stops(self) -> Sequence[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or ()

    @property
    def reply_tokens(self) -> int:
        return self.max_completion_tokens or self.max_tokens or 1024

    @property
    def collection(self) -> str:
        return self.collection_names[0] if self.collection_names else "default"

    def question(self) -> tuple[str, list[ChatMessage]]:
        """The last message, which must be the user's, and what was said before it. System messages are left out:
        how Lectern answers from documents is not for a caller to change."""
        said = [message.plain() for message in self.messages if message.role in ("user", "assistant")]
        if not said or said[-1].role != "user" or not said[-1].content.strip():
            raise ApiError(400, "The last message must be the user's question, with some text in it.", param="messages")
        return said[-1].content, said[:-1]
