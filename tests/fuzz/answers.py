"""What models write, and what engines and servers send: read by gateways and clients."""

from collections.abc import Callable
from typing import Any

import msgspec

from hostler.client.answers import read_answer, read_error, retry_after_s
from hostler.client.streams import AnswerReader, ComparisonReader, read_event
from hostler.engine.text.call_parser import CallParser
from hostler.engine.text.call_syntax import HERMES, JSON, LLAMA, MISTRAL, MISTRAL_NAMED, CallSyntax
from hostler.engine.text.parsed import AnswerParser, Parsed
from hostler.engine.text.reasoning import KNOWN, ReasoningParser
from hostler.engine.text.response_template import QWEN_XML, ResponseTemplateParser
from hostler.engine.text.stop_strings import StopStrings
from hostler.errors import HostlerError, ServiceError
from hostler.protocol.native_answers import ChatAnswer
from hostler.tools import ToolCallDelta
from hostler.types import Admission, ChatMessage, ChatPrompt, FinishReason, SamplingParams, TokenDelta
from hostler.worker.framing import FrameDecoder, encode
from hostler.worker.messages import Abort, Admitted, Generate, Output, Outputs, decoder_of_gateway, decoder_of_worker
from tests.fuzz.target import Target

NAMES = frozenset({"look", "find_all"})
_CALL = '{"name": "look", "arguments": {"a": "}{"}}'
_SYNTAXES = {"json": JSON, "hermes": HERMES, "llama": LLAMA, "mistral": MISTRAL, "mistral-named": MISTRAL_NAMED}
_WRITTEN = (
    _CALL,
    f"Well:\n{_CALL}\n{_CALL}",
    f"<tool_call>{_CALL}</tool_call>\n<tool_call>{_CALL}",
    f"<|python_tag|>{_CALL.replace('arguments', 'parameters')}; {_CALL}",
    f"[TOOL_CALLS][{_CALL}, {_CALL}]",
    '[TOOL_CALLS]look[CALL_ID]abcdefghi[ARGS]{"a": 1}[TOOL_CALLS]find_all[ARGS]{}',
)
_MARKS = ("<think>", "</think>", "[THINK]", "[/THINK]", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "look")


def _read(parser: AnswerParser, text: str, num_chars: int) -> Parsed:
    read = Parsed()
    for start in range(0, len(text), num_chars):
        read = read.and_then(parser.add(text[start : start + num_chars]))
        if parser.is_over:
            break
    return read.and_then(parser.flush())


def _joined(calls: list[ToolCallDelta]) -> list[tuple[str, str]]:
    """Name and arguments of each call; ids are random."""
    joined: dict[int, tuple[str, str]] = {}
    for call in calls:
        name, arguments = joined.get(call.index, ("", ""))
        joined[call.index] = (name + call.name, arguments + call.arguments)
    assert list(joined) == list(range(len(joined)))
    return list(joined.values())


def _reads(new_parser: Callable[[], AnswerParser]) -> Callable[[bytes], None]:
    """However an answer is cut into pieces, what comes of it is the same."""

    def parse(data: bytes) -> None:
        text = data[1:].decode("utf-8", "replace")
        whole = _read(new_parser(), text, max(1, len(text)))
        pieces = _read(new_parser(), text, data[0] % 16 + 1 if data else 1)
        assert (whole.text, whole.reasoning) == (pieces.text, pieces.reasoning)
        assert _joined(whole.tool_calls) == _joined(pieces.tool_calls)
        assert len(whole.text) <= len(text)

    return parse


def _calls_of(syntax: CallSyntax) -> Callable[[], AnswerParser]:
    return lambda: CallParser(syntax, NAMES)


def _new_reasoning() -> AnswerParser:
    return ReasoningParser(KNOWN[0], CallParser(HERMES, NAMES), has_begun=False)


def _parse_template(data: bytes) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in NAMES]
    parser = ResponseTemplateParser(QWEN_XML, "<|im_start|>assistant\n", tools)
    _joined(_read(parser, data[1:].decode("utf-8", "replace"), data[0] % 16 + 1 if data else 1).tool_calls)


def _stop(data: bytes) -> None:
    stop, _, text = data.decode("utf-8", "replace").partition("\n")
    strings = [string for string in stop.split("|") if string][:8]
    stops, told = StopStrings(strings), ""
    for char in text:
        piece, is_over = stops.add(char)
        told += piece
        if is_over:
            break
    else:
        told += stops.flush()
        assert told == text
    assert text.startswith(told)
    assert not any(string in told for string in strings)


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").split("\n")


def _read_stream(data: bytes) -> None:
    reader = AnswerReader(ChatAnswer)
    for line in _lines(data):
        reader.read(line)
    reader.whole()


def _read_comparison(data: bytes) -> None:
    reader = ComparisonReader()
    for line in _lines(data):
        reader.read(line)
    reader.whole()


def _read_answer(data: bytes) -> None:
    head, _, rest = data.partition(b"\n")
    text = head.decode("utf-8", "replace")
    seconds = retry_after_s(text, 0.0)
    assert seconds is None or seconds >= 0
    for status in (None, 200, 404, 429, 500):
        assert isinstance(read_error(status, rest, {"retry-after": text}), HostlerError)
    read_answer(rest, ChatAnswer)


def _frames(new_decoder: Callable[[], FrameDecoder[Any]]) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        decoder = new_decoder()
        for start in range(0, len(data), 7):
            list(decoder.feed(data[start : start + 7]))

    return parse


_GENERATE = Generate(
    request_id=1, prompt=ChatPrompt(messages=[ChatMessage(role="user", content="a")]), params=SamplingParams()
)
_DELTA = TokenDelta(index=0, text="a", token_ids=[1], finish_reason=FinishReason.STOP)
_OUTPUTS = Outputs(outputs=[Output(request_id=1, delta=_DELTA)])
_ERRORS = ({"error": {"code": "x", "message": "y", "param": None}}, {"detail": [{"loc": ["body", "a"], "msg": "b"}]})
_STREAM = (
    b'data: {"index": 0, "text": "a", "finish_reason": null}\n\n: loading 43%\n'
    b'data: {"response": "a", "model_id": "m", "model_name": "o/m", "context": ""}\ndata: [DONE]\n'
)
_LOST = b'data: {"error": {"code": "x", "message": "y"}}\n'
_COMPARISON = b'data: {"model_id": "m", "text": "a", "finish_reason": "stop"}\n\ndata: [DONE]\n'
_EVENT = b'data: {"number": 1, "time": 1.0, "kind": "loaded", "model_id": "m", "text": "a", "facts": {"b": 1}}'
_CHAT = b'{"response": "a", "model_id": "m", "model_name": "o/m", "context": ""}'

TARGETS = (
    *(
        Target(
            f"calls-{name}", _reads(_calls_of(syntax)), tuple(b"\2" + text.encode() for text in _WRITTEN), (), _MARKS
        )
        for name, syntax in _SYNTAXES.items()
    ),
    Target("reasoning", _reads(_new_reasoning), (f"\3 <think> a </think> b {_WRITTEN[2]}".encode(),), (), _MARKS),
    Target(
        "response-template",
        _parse_template,
        (
            b"\4<think>a</think>b<tool_call>\n<function=look>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>",
        ),
        (),
        ("<tool_call>", "<function=look>", "<parameter=a>", "</parameter>", "</function>", "</tool_call>", "</think>"),
    ),
    Target("stop-strings", _stop, (b"ab|bc|c\nxxabcab",)),
    Target("client-stream", _read_stream, (_STREAM, _LOST), (HostlerError,), ("data:", '"answer"', '"text"', "[DONE]")),
    Target(
        "client-comparison", _read_comparison, (_COMPARISON, _LOST), (HostlerError,), ("data:", '"answer"', "[DONE]")
    ),
    Target(
        "client-event",
        lambda data: [read_event(line) for line in _lines(data)],
        (_EVENT,),
        (HostlerError,),
    ),
    Target(
        "client-answer",
        _read_answer,
        tuple(b"Wed, 21 Oct 2015 07:28:00 GMT\n" + body for body in (_CHAT, *map(msgspec.json.encode, _ERRORS))),
        (HostlerError,),
        ("detail", "error", "loc", "msg", "code"),
    ),
    Target(
        "frames-to-worker",
        _frames(decoder_of_worker),
        (encode(_GENERATE), encode(Abort(request_id=1))),
        (ServiceError,),
    ),
    Target(
        "frames-from-worker",
        _frames(decoder_of_gateway),
        (encode(_OUTPUTS), encode(Admitted(request_id=1, admission=Admission(num_prompt_tokens=1, max_tokens=2)))),
        (ServiceError,),
    ),
)
