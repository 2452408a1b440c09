"""Answers as `/v1/responses` spells them, whole and in events."""

import time
from collections.abc import Iterator
from typing import Any, Literal

from hostler.errors import HostlerError, QueueFullError, RateLimitError, RequestError
from hostler.protocol.fields import RequestBody
from hostler.protocol.responses import ResponsesRequest
from hostler.protocol.responses_answers import (
    IncompleteDetails,
    InputTokensDetails,
    OutputItem,
    OutputTokensDetails,
    Response,
    ResponseEvent,
    ResponseFailure,
    ResponseReasoning,
    ResponseTool,
    ResponseUsage,
    StreamedFailure,
    StreamEvent,
)
from hostler.server.answer import Answer
from hostler.server.errors import openai_body
from hostler.server.responses_items import items_of, new_id
from hostler.server.responses_stream import ItemWriter
from hostler.types import FinishReason, TokenDelta

Ending = Literal["completed", "incomplete"]


class ResponsesFormat:
    def __init__(self, body: ResponsesRequest) -> None:
        self._body = body
        self._id = new_id("resp")
        self._created_at = int(time.time())
        self._writer = ItemWriter()
        self._answer: Answer | None = None
        """`None` before a stream has begun."""

    def whole(self, answer: Answer) -> Response:
        ending = _ending(answer)
        items = items_of(answer.sequences[0][0], is_cut=ending == "incomplete")
        return self._response(answer, ending, items)

    def opening(self, answer: Answer) -> Iterator[StreamEvent]:
        self._answer = answer
        yield self._event("response.created", self._response(answer, "in_progress", []))
        yield self._event("response.in_progress", self._response(answer, "in_progress", []))

    def delta(self, answer: Answer, prompt_index: int, delta: TokenDelta) -> Iterator[StreamEvent]:  # noqa: ARG002
        return self._writer.write(delta)

    def closing(self, answer: Answer) -> Iterator[StreamEvent]:
        ending = _ending(answer)
        yield from self._writer.finish(ending)
        response = self._response(answer, ending, self._writer.items)
        yield self._event("response.completed" if ending == "completed" else "response.incomplete", response)

    def failure(self, error: HostlerError) -> Iterator[StreamEvent]:
        if self._answer is None:
            yield StreamedFailure(
                type="error",
                sequence_number=self._writer.number(),
                code=error.code,
                message=error.message,
                param=error.param,
                error=openai_body(error)["error"],
            )
            return
        response = self._response(self._answer, "failed", self._writer.items)
        response["error"] = ResponseFailure(code=_failure_code(error), message=error.message)
        yield self._event("response.failed", response)

    def _event(
        self,
        kind: Literal[
            "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"
        ],
        response: Response,
    ) -> ResponseEvent:
        return ResponseEvent(type=kind, sequence_number=self._writer.number(), response=response)

    def _response(
        self,
        answer: Answer,
        status: Literal["in_progress", "completed", "incomplete", "failed"],
        items: list[OutputItem],
    ) -> Response:
        body, is_cut = self._body, status == "incomplete"
        response = Response(
            id=self._id,
            object="response",
            created_at=self._created_at,
            status=status,
            background=False,
            error=None,
            incomplete_details=IncompleteDetails(reason="max_output_tokens") if is_cut else None,
            instructions=body.instructions,
            max_output_tokens=body.max_output_tokens,
            metadata=body.metadata or {},
            model=answer.spec.id,
            output=items,
            parallel_tool_calls=body.parallel_tool_calls is not False,
            previous_response_id=None,
            reasoning=_reasoning(body),
            temperature=answer.params.temperature,
            text=_text(body),
            tool_choice=_tool_choice(body),
            tools=_tools(body),
            top_logprobs=body.top_logprobs or 0,
            top_p=answer.params.top_p,
            truncation=body.truncation or "disabled",
            usage=None if status == "in_progress" else _usage(answer),
        )
        if status == "completed":
            response["completed_at"] = int(time.time())
        return response


def _ending(answer: Answer) -> Ending:
    return "incomplete" if answer.sequences[0][0].finish_reason is FinishReason.LENGTH else "completed"


def _usage(answer: Answer) -> ResponseUsage:
    sequence = answer.sequences[0][0]
    return ResponseUsage(
        input_tokens=answer.num_prompt_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=answer.num_cached_tokens, cache_write_tokens=0),
        output_tokens=sequence.num_tokens,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=sequence.num_reasoning_tokens),
        total_tokens=answer.num_prompt_tokens + sequence.num_tokens,
    )


def _failure_code(error: HostlerError) -> Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]:
    if isinstance(error, QueueFullError | RateLimitError):
        return "rate_limit_exceeded"
    return "invalid_prompt" if isinstance(error, RequestError) else "server_error"


def _reasoning(body: ResponsesRequest) -> ResponseReasoning:
    asked = body.reasoning
    if asked is None:
        return ResponseReasoning(effort=None, summary=None)
    return ResponseReasoning(effort=asked.effort, summary=asked.summary)


def _text(body: ResponsesRequest) -> dict[str, Any]:
    asked = None if body.text is None or body.text.format is None else body.text.format
    if asked is None:
        return {"format": {"type": "text"}}
    return {"format": asked.model_dump(by_alias=True, exclude_none=True)}


def _tool_choice(body: ResponsesRequest) -> str | dict[str, Any]:
    choice = body.tool_choice
    return choice.model_dump() if isinstance(choice, RequestBody) else choice or "auto"


def _tools(body: ResponsesRequest) -> list[ResponseTool]:
    return [
        ResponseTool(
            type="function",
            name=tool.name,
            description=tool.description,
            parameters=tool.parameters,
            strict=tool.strict,
        )
        for tool in body.tools or ()
    ]
