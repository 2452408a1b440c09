"""Both clients against a transport that answers from memory."""

import json
from collections.abc import Callable, Iterator

import httpx2
import pytest

import hostler.client
from hostler.client import AsyncHostler, Hostler, ServerConnectionError
from hostler.errors import EngineDeadError, ModelNotFoundError, ModelNotLoadedError, ServiceError

GENERATED = {
    "generated_text": ["Hi there"],
    "model_id": "gpt2",
    "model_name": "gpt2",
    "input_length": 1,
    "output_length": [2],
    "generation_params": {
        "max_length": 2,
        "max_new_tokens": 1,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "do_sample": True,
        "num_return_sequences": 1,
        "seed": None,
        "stop": [],
    },
}

DIED = {"error": {"detail": "it died", "code": "engine_dead"}}


def not_found(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(404, json={"detail": "no model 'x'", "code": "model_not_found"})


def events(*data: object) -> str:
    return "".join(f"data: {item if isinstance(item, str) else json.dumps(item)}\n\n" for item in data)


STREAMED = events(
    {"index": 0, "text": " the", "finish_reason": None},
    {"index": 0, "text": "re", "finish_reason": "stop"},
    GENERATED,
    "[DONE]",
)


def blocking(answer: Callable[[httpx2.Request], httpx2.Response], api_key: str | None = None) -> Hostler:
    return Hostler("http://server", api_key=api_key, transport=httpx2.MockTransport(answer), max_retries=0)


def asynchronous(answer: Callable[[httpx2.Request], httpx2.Response]) -> AsyncHostler:
    return AsyncHostler("http://server", transport=httpx2.MockTransport(answer), max_retries=0)


def test_the_public_names_are_those_exported() -> None:
    assert sorted(hostler.client.__all__) == hostler.client.__all__
    assert all(hasattr(hostler.client, name) for name in hostler.client.__all__)


def test_a_call_reaches_the_server_with_key_and_body() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json=GENERATED)

    with blocking(answer, api_key="secret") as client:
        generated = client.generate("Hi", model="a/b", temperature=0)

    assert generated["generated_text"] == ["Hi there"]
    assert seen[0].url.raw_path == b"/models/a%2Fb/generate"
    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert json.loads(seen[0].content) == {"text": "Hi", "temperature": 0}


def test_an_error_is_raised_as_its_class_with_the_answer_as_its_cause() -> None:
    with blocking(not_found) as client, pytest.raises(ModelNotFoundError, match="no model 'x'") as caught:
        client.load("x")

    assert isinstance(caught.value.__cause__, httpx2.HTTPStatusError)
    assert caught.value.__cause__.response.status_code == 404


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx2.ConnectError("refused"), "no server answers at http://server: start it with 'hostler serve'"),
        (httpx2.ConnectTimeout("slow"), "no server answers at http://server"),
        (httpx2.ReadTimeout("slow"), "took longer than the client's timeout_s"),
        (httpx2.RemoteProtocolError("cut off"), "the connection to http://server broke: cut off"),
    ],
)
async def test_a_broken_connection_is_one_error_in_both_clients(failure: Exception, expected: str) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise failure

    with blocking(fail) as client:
        with pytest.raises(ServerConnectionError, match=expected):
            client.health()
        with pytest.raises(ServerConnectionError, match=expected):
            list(client.stream("Hi"))
    async with asynchronous(fail) as async_client:
        with pytest.raises(ServerConnectionError, match=expected):
            await async_client.health()
        with pytest.raises(ServerConnectionError, match=expected):
            [piece async for piece in async_client.stream("Hi")]


def test_a_stream_gives_text_and_then_the_whole_answer() -> None:
    with blocking(lambda _: httpx2.Response(200, text=STREAMED)) as client:
        stream = client.stream("Hi", model="gpt2")
        pieces = [piece["text"] for piece in stream]

    assert pieces == [" the", "re"]
    assert stream.answer["generated_text"] == ["Hi there"]


async def test_an_async_stream_gives_text_and_then_the_whole_answer() -> None:
    async with asynchronous(lambda _: httpx2.Response(200, text=STREAMED)) as client, client.stream("Hi") as stream:
        pieces = [piece["text"] async for piece in stream]

    assert pieces == [" the", "re"]
    assert stream.answer["output_length"] == [2]


def test_a_streamed_chat_ends_with_the_context_to_send_next() -> None:
    answer = {"response": "Yo", "model_id": "m", "model_name": "n", "context": "opaque"}
    text = events({"index": 0, "text": "Yo", "finish_reason": "stop"}, answer, "[DONE]")

    with blocking(lambda _: httpx2.Response(200, text=text)) as client:
        stream = client.stream_chat("Hi", context="earlier")
        assert "".join(piece["text"] for piece in stream) == "Yo"

    assert stream.answer["context"] == "opaque"


def test_a_failure_within_a_stream_is_raised_after_the_text_that_came() -> None:
    text = events({"index": 0, "text": "a", "finish_reason": None}, DIED, "[DONE]")

    with blocking(lambda _: httpx2.Response(200, text=text)) as client:
        pieces = iter(client.stream("Hi"))
        assert next(pieces)["text"] == "a"
        with pytest.raises(EngineDeadError, match="it died"):
            next(pieces)


async def test_a_refused_stream_raises_before_any_text() -> None:
    with blocking(not_found) as client, pytest.raises(ModelNotFoundError):
        list(client.stream("Hi", model="x"))
    async with asynchronous(not_found) as async_client:
        with pytest.raises(ModelNotFoundError):
            [piece async for piece in async_client.stream("Hi", model="x")]


def test_a_stream_that_was_cut_off_has_no_whole_answer() -> None:
    text = events({"index": 0, "text": "a", "finish_reason": None})

    with blocking(lambda _: httpx2.Response(200, text=text)) as client:
        stream = client.stream("Hi")
        list(stream)

    with pytest.raises(ServiceError, match="has not come to its end"):
        _ = stream.answer


def test_leaving_a_stream_closes_its_connection() -> None:
    class Body(httpx2.SyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield STREAMED.encode()

        def close(self) -> None:
            self.closed = True

    body = Body()
    with blocking(lambda _: httpx2.Response(200, stream=body)) as client, client.stream("Hi") as stream:
        next(iter(stream))
        stream.close()

    assert body.closed


COMPARED = {
    "model_id": "gpt2",
    "model_name": "gpt2",
    "answer": " there",
    "finish_reason": "stop",
    "prompt_tokens": 1,
    "completion_tokens": 1,
    "load_s": 0.5,
    "ttft_s": 0.1,
    "total_s": 0.6,
    "tokens_per_second": None,
    "error": None,
}
NUMBERS = ("prompt_tokens", "completion_tokens", "load_s", "ttft_s", "total_s", "tokens_per_second")
FAILED = COMPARED | dict.fromkeys(("answer", "finish_reason", *NUMBERS)) | {"model_id": "opt", **DIED}
PIECE = {"model_id": "gpt2", "text": " there", "finish_reason": "stop"}
STREAMED_COMPARISON = ": opt: loading\n\n" + events(PIECE, COMPARED, FAILED, "[DONE]")


async def test_a_comparison_is_one_request_in_both_clients() -> None:
    seen: list[object] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append((request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={"answers": [COMPARED, FAILED]})

    with blocking(answer) as client:
        assert client.compare(["gpt2", "opt"], "Hi", seed=1) == [COMPARED, FAILED]
    async with asynchronous(answer) as async_client:
        assert await async_client.compare(["gpt2", "opt"], message="Hi") == [COMPARED, FAILED]
    assert seen == [
        ("/compare", {"models": ["gpt2", "opt"], "text": "Hi", "seed": 1}),
        ("/compare", {"models": ["gpt2", "opt"], "message": "Hi"}),
    ]


async def test_a_streamed_comparison_gives_waits_text_and_then_the_answers() -> None:
    waits: list[str] = []
    with blocking(lambda _: httpx2.Response(200, text=STREAMED_COMPARISON)) as client:
        stream = client.stream_compare(["gpt2", "opt"], "Hi")
        stream.on_wait = waits.append
        assert list(stream) == [PIECE]
        assert stream.answers == [COMPARED, FAILED]
    async with asynchronous(lambda _: httpx2.Response(200, text=STREAMED_COMPARISON)) as async_client:
        async with async_client.stream_compare(["gpt2", "opt"], "Hi") as async_stream:
            async_stream.on_wait = waits.append
            assert [piece async for piece in async_stream] == [PIECE]
        assert async_stream.answers == [COMPARED, FAILED]
    assert waits == ["opt: loading"] * 2


def test_a_comparison_that_was_cut_off_has_no_answers() -> None:
    with blocking(lambda _: httpx2.Response(200, text=events(PIECE, COMPARED))) as client:
        stream = client.stream_compare(["gpt2", "opt"], "Hi")
        list(stream)
    with pytest.raises(ServiceError, match="some of the models"):
        _ = stream.answers


async def test_tokens_are_asked_for_and_spelled_by_both_clients() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/detokenize"):
            return httpx2.Response(200, json={"prompt": "Hi", "model_id": "gpt2"})
        return httpx2.Response(200, json={"tokens": [7], "count": 1, "max_model_len": 8, "model_id": "gpt2"})

    with blocking(answer) as client:
        assert client.tokenize("Hi")["tokens"] == [7]
        assert client.detokenize([7], model="gpt2")["prompt"] == "Hi"
    async with asynchronous(answer) as async_client:
        assert (await async_client.tokenize([{"role": "user", "content": "Hi"}]))["count"] == 1
        assert (await async_client.detokenize([7]))["prompt"] == "Hi"


EVENT = {"number": 1, "time": 1.5, "kind": "loaded", "model_id": "gpt2", "text": "gpt2 was loaded", "facts": {"s": 2}}
PROGRESS = EVENT | {"number": None, "kind": "progress"}
FOLLOWED = f": connected\n\nid: 1\nevent: loaded\n{events(EVENT)}event: progress\n{events(PROGRESS)}: still here\n\n"


def test_events_come_without_what_keeps_the_connection_alive() -> None:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(200, text=FOLLOWED)

    with blocking(answer) as client, client.events("gpt2", after=3) as stream:
        assert list(stream) == [EVENT, PROGRESS]

    assert seen == ["http://server/models/gpt2/events?stream=1&after=3"]


async def test_events_come_to_the_async_client_too() -> None:
    async with asynchronous(lambda _: httpx2.Response(200, text=FOLLOWED)) as client, client.events() as stream:
        assert [event async for event in stream] == [EVENT, PROGRESS]


async def test_refused_events_raise_before_any() -> None:
    with blocking(not_found) as client, pytest.raises(ModelNotFoundError):
        list(client.events("x"))
    async with asynchronous(not_found) as async_client:
        with pytest.raises(ModelNotFoundError):
            [event async for event in async_client.events("x")]


def test_a_model_that_fails_its_deep_check_raises_why() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(503, json={"detail": "model 'x' is unloaded", "code": "model_not_loaded"})

    with blocking(answer) as client, pytest.raises(ModelNotLoadedError, match="is unloaded"):
        client.model_health("x", deep=True)


async def test_vectors_and_rankings_come_as_lists_from_both_clients() -> None:
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    vectors = [{"object": "embedding", "index": index, "embedding": [0.5, index]} for index in range(2)]
    ranked = [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}, {"index": 0, "relevance_score": 0.1}]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/v1/embeddings"):
            return httpx2.Response(200, json={"object": "list", "model": "m", "data": vectors, "usage": usage})
        head = {"id": "rerank-1", "model": "m", "created": 1, "usage": usage}
        return httpx2.Response(200, json=head | {"results": ranked})

    with blocking(answer) as client:
        assert client.embed(["a", "b"], model="m") == [[0.5, 0.0], [0.5, 1.0]]
        assert client.rerank("q", ["a", "b"], model="m") == ranked
    async with asynchronous(answer) as async_client:
        assert await async_client.embed(["a", "b"], model="m") == [[0.5, 0.0], [0.5, 1.0]]
        assert await async_client.rerank("q", ["a", "b"], model="m") == ranked
