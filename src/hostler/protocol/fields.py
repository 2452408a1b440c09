"""Field types and the base class that the requests of both interfaces share."""

from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hostler.quantities import parse_keep_alive

MAX_STOP_STRINGS = 32
MAX_STOP_CHARS = 512
"""Per stop string. Bounds what the engine holds back and searches for at each step."""
MAX_STOP_TOKEN_IDS = 64
MAX_TOKEN_ID = 2**31 - 1
MAX_PRIORITY = 100
"""Either way; enough steps for any ordering, few enough that nobody is tempted to put a time into it."""
MAX_TOKENS = 2**31 - 1
"""A bound against overflow; the model's context is the one that counts."""

MAX_FIELDS = 256
"""Of one object. Each unknown one is an error that takes time to tell."""

Value = TypeVar("Value")


class IgnoredFields:
    """The context of a validation that leaves unknown fields out instead of refusing them."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        """Of those that were left out, so far."""


class RequestBody(BaseModel):
    """A request: unknown fields are refused unless the context says otherwise, and no value is bent into another
    type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_ignored_fields(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        if len(data) > MAX_FIELDS:
            raise ValueError(f"Input should have at most {MAX_FIELDS} fields, not {len(data)}")
        if isinstance(info.context, IgnoredFields) and cls.model_config.get("extra") == "forbid":
            unknown = data.keys() - cls.model_fields.keys()
            info.context.names |= unknown
            return {name: value for name, value in data.items() if name not in unknown}
        return data


def _whole_number(value: object) -> object:
    """JSON has one kind of number: `5.0` is the integer 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _greedy_or_a_tenth(value: float) -> float:
    if 0 < value < 0.1:
        raise ValueError("Input should be 0 (greedy) or between 0.1 and 2")
    return value


Integer = Annotated[int, BeforeValidator(_whole_number, json_schema_input_type=int)]
TokenId = Annotated[Integer, Field(ge=0, le=MAX_TOKEN_ID)]
TokenCount = Annotated[Integer, Field(ge=1, le=MAX_TOKENS)]
Seed = Annotated[Integer, Field(ge=-(2**63), le=2**63 - 1)]
Priority = Annotated[Integer, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)]
Probability = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Temperature = Annotated[float, Field(ge=0, le=2)]
NativeTemperature = Annotated[
    float,
    Field(ge=0, le=2),
    AfterValidator(_greedy_or_a_tenth),
    WithJsonSchema({"anyOf": [{"const": 0}, {"type": "number", "minimum": 0.1, "maximum": 2}]}),
]
StopString = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARS)]
KeepAlive = Annotated[
    float, Field(allow_inf_nan=True), BeforeValidator(parse_keep_alive, json_schema_input_type=float | str)
]
"""Seconds; infinity: for ever."""
Stop = Annotated[
    list[StopString],
    Field(max_length=MAX_STOP_STRINGS),
    BeforeValidator(_one_or_many, json_schema_input_type=str | list[str]),
]
StopTokenIds = Annotated[list[TokenId], Field(max_length=MAX_STOP_TOKEN_IDS)]


def exactly_one(value: Value, info: ValidationInfo, *others: str) -> Value:
    """What the validator of a field does that is to be given where none of `others` is, and nowhere else.

    `others` are fields that stand before it; it is to validate its default.
    """
    if any(name not in info.data for name in others):
        return value  # what is wrong with them is told already
    set_fields = [name for name in others if info.data[name] is not None]
    if value is not None:
        set_fields.append(str(info.field_name))
    if len(set_fields) > 1:
        raise ValueError(f"Input should not be set beside another; leave out all of {', '.join(set_fields)} but one")
    if not set_fields:
        raise PydanticCustomError("missing", "Field required, or {others}", {"others": " or ".join(others)})
    return value


def alternatives(**types: str) -> dict[str, Any]:
    """The same as `json_schema_extra` of a model: by field, its JSON type."""
    return {
        "oneOf": [
            {
                "required": [name],
                "properties": {other: {"type": kind if other == name else "null"} for other, kind in types.items()},
            }
            for name in types
        ]
    }


def given(**values: Any) -> dict[str, Any]:
    """The arguments that are not `None`: a field that is absent or null leaves the default of its target."""
    return {name: value for name, value in values.items() if value is not None}
