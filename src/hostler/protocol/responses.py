"""`/v1/responses`: the request."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from hostler.protocol.constraints import JsonObjectFormat, Schema, TextFormat, schema_constraint
from hostler.protocol.fields import (
    Integer,
    KeepAlive,
    Priority,
    Probability,
    RequestBody,
    Temperature,
    TokenCount,
    given,
)
from hostler.protocol.foreign_fields import without_foreign_fields
from hostler.protocol.openai_chat import MAX_TOP_LOGPROBS
from hostler.protocol.reasoning import Effort, reasoning_of_effort
from hostler.protocol.responses_fields import RESPONSES_UNSUPPORTED, RESPONSES_WITHOUT_EFFECT
from hostler.protocol.responses_input import Items, conversation_of
from hostler.protocol.responses_tools import FunctionTools, ToolChoiceField, tool_use
from hostler.tools import ToolUse
from hostler.types import ChatPrompt, Constraint, SamplingParams

MAX_METADATA = 16

Includable = Literal[
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
]
"""Only the logprobs are ever there to be included."""


class SchemaFormat(RequestBody):
    model_config = ConfigDict(populate_by_name=True)

    type: Literal["json_schema"]
    name: Annotated[str, Field(max_length=64)]
    """For people; changes nothing."""
    schema_: Annotated[Schema, Field(alias="schema")]
    description: str | None = None
    """As `name`."""
    strict: bool | None = None
    """The schema always holds, whatever this says."""


class TextOptions(RequestBody):
    format: Annotated[TextFormat | JsonObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Literal["medium"] | None = None
    """Anything else is not done."""

    def constraint(self) -> Constraint | None:
        match self.format:
            case SchemaFormat(schema_=schema):
                return schema_constraint(schema, "text")
            case JsonObjectFormat():
                return schema_constraint(None, "text")
            case _:
                return None


class ReasoningOptions(RequestBody):
    """All but `effort` is accepted and changes nothing: thoughts are given as they are."""

    effort: Effort | None = None
    """How much to think, where the chat template has a switch for that: `none` is off. Default: as it has it."""
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "all_turns", "current_turn"] | None = None
    mode: Literal["standard"] | None = None


class ResponseStreamOptions(RequestBody):
    include_obfuscation: bool | None = None
    """Accepted; there is none."""


class ResponsesRequest(RequestBody):
    """A conversation to answer, or a text. `null` is the default, everywhere."""

    model: str
    """A registered id or Hugging Face name."""
    input: Items
    """A text, or items: messages, and earlier thoughts, calls and their results."""
    instructions: str | None = None
    """Said by the system, before the input."""
    max_output_tokens: TokenCount | None = None
    """New tokens at most, thoughts included. Default: to the end of the model's context."""
    temperature: Temperature | None = None
    """0 is greedy. Default: what the registry suggests for the model."""
    top_p: Probability | None = None
    """Default 1."""
    text: TextOptions | None = None
    """What the text of the answer must be."""
    tools: FunctionTools | None = None
    """Functions that the model may call."""
    tool_choice: ToolChoiceField | None = None
    """Default `auto`."""
    parallel_tool_calls: bool | None = None
    """Whether the answer may have more calls than one. Default true."""
    reasoning: ReasoningOptions | None = None
    metadata: dict[str, Annotated[str, Field(max_length=512)]] | None = None
    """Comes back in the answer."""
    truncation: Literal["auto", "disabled"] | None = None
    """`auto`: the oldest items are left out until the rest fits. Default: such a request is refused."""
    include: Annotated[list[Includable], Field(max_length=64)] | None = None
    top_logprobs: Annotated[Integer, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    """Say of each token how likely the model held it to be, and of so many of its likeliest rivals."""
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    priority: Priority | None = None
    """Extension. Of the requests that wait for the model's next step, lower numbers are served first. Default 0."""
    keep_alive: KeepAlive | None = None
    """Extension. How long the model stays in memory after its last request. Default: what the registry says."""

    @model_validator(mode="before")
    @classmethod
    def _without_foreign_fields(cls, data: Any) -> Any:
        return without_foreign_fields(data, RESPONSES_WITHOUT_EFFECT, RESPONSES_UNSUPPORTED)

    @field_validator("metadata")
    @classmethod
    def _bounded(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and len(value) > MAX_METADATA:
            raise ValueError(f"Input should have at most {MAX_METADATA} pairs, not {len(value)}")
        if any(len(key) > 64 for key in value or ()):
            raise ValueError("Keys should have at most 64 characters")
        return value

    @field_validator("stream_options")
    @classmethod
    def _only_with_stream(
        cls, value: ResponseStreamOptions | None, info: ValidationInfo
    ) -> ResponseStreamOptions | None:
        if value is not None and "stream" in info.data and not info.data["stream"]:
            raise ValueError("Input is allowed only when stream is true")
        return value

    @property
    def has_logprobs(self) -> bool:
        return bool(self.top_logprobs) or "message.output_text.logprobs" in (self.include or ())

    def tool_use(self) -> ToolUse | None:
        """
        Raises:
            InvalidRequestError: the tools, or the choice among them, cannot be used.
        """
        return tool_use(self.tools or [], self.tool_choice, is_parallel=self.parallel_tool_calls is not False)

    def prompt(self) -> ChatPrompt:
        """
        Raises:
            InvalidRequestError: the input is no conversation, or the tools cannot be used.
        """
        return ChatPrompt(
            messages=conversation_of(self.instructions, self.input),
            drop_oldest=self.truncation == "auto",
            tool_use=self.tool_use(),
            reasoning=reasoning_of_effort(None if self.reasoning is None else self.reasoning.effort),
            splits_reasoning=True,
            param="input",
        )

    def sampling_params(self, suggested_temperature: float) -> SamplingParams:
        """
        Raises:
            InvalidRequestError: the schema is too large.
        """
        return SamplingParams(
            **given(
                max_tokens=self.max_output_tokens,
                temperature=suggested_temperature if self.temperature is None else self.temperature,
                top_p=self.top_p,
                constraint=None if self.text is None else self.text.constraint(),
                logprobs=(self.top_logprobs or 0) if self.has_logprobs else None,
            ),
            max_tokens_field="max_output_tokens",
        )
