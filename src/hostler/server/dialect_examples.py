"""Examples for the OpenAPI document: of `/v1/responses` and `/v1/messages`."""

from typing import Any

_WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_SPEED = {"type": "object", "properties": {"speed": {"type": "integer"}}, "required": ["speed"]}
_QUESTION = "Which horse is the fastest?"

DIALECT_FIELDS: dict[str, Any] = {
    "call_id": "call_1",
    "include": ["message.output_text.logprobs"],
    "include_obfuscation": False,
    "input": _QUESTION,
    "InputFunctionCall.name": "weather",
    "InputFunctionCall.type": "function_call",
    "InputFunctionCallOutput.name": "weather",
    "InputFunctionCallOutput.output": "Rain",
    "InputFunctionCallOutput.type": "function_call_output",
    "InputMessage.content": _QUESTION,
    "InputMessage.type": "message",
    "InputPart.type": "input_text",
    "InputReasoning.content": [{"type": "reasoning_text", "text": "A city is meant."}],
    "InputReasoning.summary": [],
    "InputReasoning.type": "reasoning",
    "instructions": "Be brief.",
    "max_output_tokens": 50,
    "metadata": {"topic": "horses"},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low"},
    "ReasoningOptions.context": "auto",
    "ReasoningOptions.effort": "low",
    "ReasoningOptions.generate_summary": "auto",
    "ReasoningOptions.mode": "standard",
    "ReasoningOptions.summary": "auto",
    "ResponsesFunction.description": "The weather in a city",
    "ResponsesFunction.name": "weather",
    "ResponsesFunction.parameters": _WEATHER,
    "ResponsesFunction.strict": True,
    "ResponsesFunction.type": "function",
    "ResponsesFunctionChoice.name": "weather",
    "ResponsesFunctionChoice.type": "function",
    "ResponsesRequest.stream_options": {"include_obfuscation": False},
    "ResponsesRequest.text": {"format": {"type": "json_schema", "name": "speed", "schema": _SPEED}},
    "ResponsesRequest.tool_choice": "auto",
    "ResponsesRequest.tools": [{"type": "function", "name": "weather", "parameters": _WEATHER}],
    "SchemaFormat.description": "How fast it runs",
    "SchemaFormat.name": "speed",
    "SchemaFormat.schema": _SPEED,
    "SchemaFormat.strict": True,
    "SchemaFormat.type": "json_schema",
    "TextOptions.format": {"type": "json_schema", "name": "speed", "schema": _SPEED},
    "TextOptions.verbosity": "medium",
    "truncation": "disabled",
}

_PLACE: dict[str, Any] = {"item_id": "msg_1f0c", "output_index": 0, "content_index": 0}

DIALECT_EVENTS: dict[str, dict[str, Any]] = {
    "OutputTextDelta": {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        **_PLACE,
        "delta": "The",
        "logprobs": [],
    },
    "OutputTextDone": {
        "type": "response.output_text.done",
        "sequence_number": 5,
        **_PLACE,
        "text": "The",
        "logprobs": [],
    },
}
"""By the type of the event."""
