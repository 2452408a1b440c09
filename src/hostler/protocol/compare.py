"""`/compare`: one prompt, several models, side by side."""

from typing import Annotated

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from hostler.protocol.fields import alternatives, exactly_one
from hostler.protocol.native import NativeSampling
from hostler.protocol.openai_messages import Messages, chat_messages
from hostler.types import ChatMessage, ChatPrompt, SamplingParams, TextPrompt

MAX_COMPARED = 8


class CompareRequest(NativeSampling):
    """What to ask, and whom. The parameters are those of `generate` for a text, else those of `chat`."""

    model_config = ConfigDict(json_schema_extra=alternatives(text="string", message="string", messages="array"))

    models: Annotated[
        list[str],
        Field(min_length=1, max_length=MAX_COMPARED, fail_fast=True),
    ]
    """Registered ids or Hugging Face names, each model once."""
    messages: Messages | None = None
    """A conversation to answer."""
    message: str | None = None
    """The only message of a conversation to answer."""
    text: Annotated[str | None, Field(validate_default=True)] = None
    """A text to continue. Exactly one of the three is needed."""

    @field_validator("text")
    @classmethod
    def _one_prompt(cls, value: str | None, info: ValidationInfo) -> str | None:
        return exactly_one(value, info, "message", "messages")

    def prompt(self) -> TextPrompt | ChatPrompt:
        if self.messages is not None:
            return ChatPrompt(messages=chat_messages(self.messages))
        if self.message is not None:
            return ChatPrompt(messages=[ChatMessage(role="user", content=self.message)])
        return TextPrompt(text=self.text or "")

    def sampling_params(self, default_max_length: int, suggested_temperature: float) -> SamplingParams:
        """For one of the models, whose defaults these are."""
        if self.text is not None:
            return self.text_params(default_max_length)
        return self.chat_params(suggested_temperature)
