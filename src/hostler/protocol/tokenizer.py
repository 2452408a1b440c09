"""`/tokenize`, `/detokenize` and `/tokenizer_info`: requests, spelled as vLLM and lm-eval do."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from hostler.errors import InvalidRequestError
from hostler.protocol.fields import MAX_TOKEN_ID, KeepAlive, RequestBody, alternatives, exactly_one
from hostler.protocol.openai_messages import (
    Message,
    Messages,
    MessageToolCall,
    chat_messages,
    checked_continuation,
)
from hostler.protocol.openai_tools import Tools, tools_of
from hostler.protocol.tools import ToolChoice, tool_use_of
from hostler.types import ChatPrompt, TextPrompt

MAX_CHARS_TO_TOKENIZE = 2**20
"""Of one text or conversation. That many take a second, for which nothing else is tokenized for the model."""
MAX_TOKENS_TO_SPELL = 2**20
"""Of one request; longer than any context."""


class TokenizerRequest(RequestBody):
    """What both have in common. The model may be named by the path instead; then `model` is not read."""

    model: str | None = None
    """A registered id or Hugging Face name. Default: the one in memory, else `default_model`, else the first."""
    keep_alive: KeepAlive | None = None
    """How long the model stays in memory after its last request, from now on. Default: what the registry says."""


class TokenizeRequest(TokenizerRequest):
    """A text, or a conversation, to be turned into token ids."""

    model_config = ConfigDict(json_schema_extra=alternatives(prompt="string", messages="array"))

    messages: Messages | None = None
    """Rendered as they would be for an answer."""
    add_generation_prompt: bool | None = None
    """End `messages` with what begins an answer. Default true."""
    continue_final_message: bool | None = None
    """Go on with the last of the `messages`, an assistant's, instead of beginning a new one."""
    tools: Tools | None = None
    """Beside `messages`: functions that the model is told of, as for an answer that may call them."""
    prompt: Annotated[str | None, Field(max_length=MAX_CHARS_TO_TOKENIZE, validate_default=True)] = None
    """Exactly one of the two is needed."""
    add_special_tokens: bool | None = None
    """Whether a `prompt` gets the tokens that the tokenizer puts around a text. A conversation has those of its
    template. Default true."""

    @field_validator("messages")
    @classmethod
    def _bounded(cls, value: list[Message] | None) -> list[Message] | None:
        num_chars = sum(
            len(message.text) + len(message.reasoning_content or "") + sum(map(_num_chars, message.tool_calls or ()))
            for message in value or ()
        )
        if num_chars > MAX_CHARS_TO_TOKENIZE:
            raise ValueError(f"Messages should have at most {MAX_CHARS_TO_TOKENIZE} characters, not {num_chars}")
        return value

    @field_validator("continue_final_message")
    @classmethod
    def _continues_an_answer(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        return checked_continuation(value, info)

    @field_validator("tools")
    @classmethod
    def _of_a_conversation(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("messages", ...) is None:
            raise ValueError("Input is allowed only beside messages")
        return value

    @field_validator("prompt")
    @classmethod
    def _prompt_or_messages(cls, value: str | None, info: ValidationInfo) -> str | None:
        return exactly_one(value, info, "messages")

    def as_prompt(self) -> TextPrompt | ChatPrompt:
        """
        Raises:
            InvalidRequestError: tools that cannot be, or not in this conversation.
        """
        if self.messages is not None:
            tool_use = tool_use_of(tools_of(self.tools), ToolChoice())
            if tool_use is not None and self.continue_final_message:
                raise InvalidRequestError(
                    "tools are not available with continue_final_message; leave one of them out", param="tools"
                )
            return ChatPrompt(
                messages=chat_messages(self.messages),
                continue_last=bool(self.continue_final_message),
                add_generation_prompt=self.add_generation_prompt is not False,
                tool_use=tool_use,
            )
        return TextPrompt(text=self.prompt or "")


def _num_chars(call: MessageToolCall) -> int:
    return len(call.function.name) + len(call.function.arguments)


class DetokenizeRequest(TokenizerRequest):
    """Token ids to be turned into text."""

    tokens: Annotated[
        list[Annotated[int, Field(ge=0, le=MAX_TOKEN_ID)]],
        Field(max_length=MAX_TOKENS_TO_SPELL, fail_fast=True),
    ]
