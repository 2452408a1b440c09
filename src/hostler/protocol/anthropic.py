"""`/v1/messages` and the count of its tokens: the requests."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hostler.errors import InvalidRequestError
from hostler.protocol.anthropic_fields import MESSAGES_UNSUPPORTED, MESSAGES_WITHOUT_EFFECT
from hostler.protocol.anthropic_messages import TextBlocks, TurnParams, conversation_of, text_of
from hostler.protocol.anthropic_tools import AnthropicToolChoice, CustomTools, tool_use
from hostler.protocol.constraints import Schema, schema_constraint
from hostler.protocol.fields import (
    MAX_STOP_STRINGS,
    Integer,
    KeepAlive,
    Priority,
    Probability,
    RequestBody,
    StopString,
    Temperature,
    TokenCount,
    given,
)
from hostler.protocol.foreign_fields import without_foreign_fields
from hostler.protocol.reasoning import reasoning_of
from hostler.types import ChatPrompt, Reasoning, SamplingParams


class ThinkingOptions(RequestBody):
    """Whether the model thinks, where its chat template has a switch for it, and whether its thoughts are told."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    """`disabled` is off, all others are on."""
    budget_tokens: TokenCount | None = None
    """Accepted; bounded by `max_tokens` alone."""
    display: Literal["summarized", "omitted"] | None = None
    """`omitted`: the thoughts are not told. A summary is the thoughts themselves."""


class OutputSchema(RequestBody):
    type: Literal["json_schema"]
    schema_: Annotated[Schema, Field(alias="schema")]


class OutputOptions(RequestBody):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How much to think, where the chat template has a switch for it. Default: as the template has it."""
    format: OutputSchema | None = None
    """The text of the answer is JSON of this schema."""


class CountTokensRequest(RequestBody):
    """A conversation whose tokens are counted. `null` is the default, everywhere."""

    model: str
    """A registered id or Hugging Face name."""
    messages: TurnParams
    """Where the last one is an assistant's, the answer goes on with it."""
    system: TextBlocks | None = None
    """A text, or blocks of text; said before the conversation."""
    tools: CustomTools | None = None
    """Functions that the model may call."""
    tool_choice: AnthropicToolChoice | None = None
    """Default `auto`."""
    thinking: ThinkingOptions | None = None
    """Default: the model thinks as its chat template has it, and its thoughts are not told."""
    output_config: OutputOptions | None = None
    keep_alive: KeepAlive | None = None
    """Extension. How long the model stays in memory after its last request. Default: what the registry says."""

    @model_validator(mode="before")
    @classmethod
    def _without_foreign_fields(cls, data: Any) -> Any:
        return without_foreign_fields(data, MESSAGES_WITHOUT_EFFECT, MESSAGES_UNSUPPORTED)

    def prompt(self) -> ChatPrompt:
        """
        Raises:
            InvalidRequestError: the conversation, or the tools, cannot be used.
        """
        messages = conversation_of(text_of(self.system), self.messages)
        used = tool_use(self.tools or [], self.tool_choice)
        last = messages[-1]
        is_begun = last.role == "assistant" and not last.tool_calls
        if is_begun and not last.content:
            # An answer that was begun with nothing.
            messages, is_begun = messages[:-1], False
        if not messages:
            raise InvalidRequestError("messages have no content; send some text", param="messages")
        if is_begun and used is not None:
            raise InvalidRequestError(
                "tools are not available where the last message is an assistant's; leave one of them out", param="tools"
            )
        return ChatPrompt(
            messages=messages,
            continue_last=is_begun,
            tool_use=used,
            reasoning=self._reasoning(),
            splits_reasoning=True,
        )

    def _reasoning(self) -> Reasoning:
        effort = None if self.output_config is None else self.output_config.effort
        return reasoning_of(effort, is_on=None if self.thinking is None else self.thinking.type != "disabled")


class MessagesRequest(CountTokensRequest):
    """A conversation to answer. `null` is the default, everywhere."""

    max_tokens: TokenCount
    """New tokens at most, thoughts included; cut to what the model's context has room for."""
    stop_sequences: Annotated[list[StopString], Field(max_length=MAX_STOP_STRINGS)] | None = None
    """They end the answer and are no part of it."""
    temperature: Temperature | None = None
    """0 is greedy. Default: what the registry suggests for the model."""
    top_p: Probability | None = None
    """Default 1."""
    top_k: Annotated[Integer, Field(ge=0, le=2**31 - 1)] | None = None
    """0: all tokens."""
    stream: bool | None = None
    priority: Priority | None = None
    """Extension. Of the requests that wait for the model's next step, lower numbers are served first. Default 0."""

    @property
    def shows_thinking(self) -> bool:
        return self.thinking is not None and self.thinking.type != "disabled" and self.thinking.display != "omitted"

    def sampling_params(self, suggested_temperature: float) -> SamplingParams:
        """
        Raises:
            InvalidRequestError: the schema is too large.
        """
        asked = None if self.output_config is None else self.output_config.format
        return SamplingParams(
            **given(
                temperature=suggested_temperature if self.temperature is None else self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                stop=self.stop_sequences,
                constraint=None if asked is None else schema_constraint(asked.schema_, "output_config"),
            ),
            max_tokens=self.max_tokens,
            clamp_max_tokens=True,
        )
