"""Every call of both clients, over a socket, to the real gateway with fake models."""

import pytest

from hostler.client import LoadProgress, ServerUnreachableError
from hostler.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    ShuttingDownError,
)
from hostler.testing import FakeServer
from hostler.types import LoadProgress as WorkerProgress
from tests.client.conftest import Either, pieces_of

CHAT, TEXT = "fake-chat", "fake-text"


async def test_the_server_tells_of_itself(either: Either) -> None:
    assert (await either.ask("health"))["status"] == "healthy"
    assert await either.ask("ready") is True
    assert (await either.ask("system"))["cuda_device_count"] == 0
    assert (await either.ask("auth_status"))["has_token"] is False
    assert 'hostler_models{state="unloaded"} 5.0' in await either.ask("metrics")


async def test_a_server_that_went_and_came_back_is_found(either: Either, server: FakeServer) -> None:
    server.stop()
    with pytest.raises(ServerUnreachableError, match=r"no server answers at .*: start it with 'hostler serve'"):
        await either.ask("health")
    server.start()
    assert await either.ask("ready") is True


async def test_a_server_that_is_not_ready_says_so_and_any_other_trouble_is_raised(
    either: Either, server: FakeServer
) -> None:
    server.fail(ShuttingDownError("leaving"))
    assert await either.ask("ready") is False
    server.fail(AuthenticationError("no key"))
    with pytest.raises(AuthenticationError):
        await either.ask("ready")


async def test_models_are_listed_and_described(either: Either) -> None:
    assert set(await either.ask("models")) == {CHAT, TEXT, "fake-embedding", "fake-reranker", "fake-classifier"}
    assert (await either.ask("info", "fake/fake-chat"))["model_id"] == CHAT
    assert (await either.ask("capabilities", CHAT))["loaded"] is False
    assert (await either.ask("plan", CHAT))["verdict"] == "fits"
    assert (await either.ask("model_health", CHAT))["state"] == "unloaded"
    with pytest.raises(ModelNotFoundError, match="no-such-model"):
        await either.ask("info", "no-such-model")


async def test_a_model_is_loaded_and_unloaded(either: Either) -> None:
    assert (await either.ask("load", CHAT, keep_alive="5m", pinned=True))["model_id"] == CHAT
    row = (await either.ask("models"))[CHAT]
    assert (row["state"], row["pinned"], row["keep_alive"]) == ("ready", True, 300)
    assert (await either.ask("model_health", CHAT, deep=True))["deep"]["seconds"] >= 0
    assert (await either.ask("unload", CHAT))["message"] == "Model fake-chat is unloaded"
    await either.ask("load", TEXT)
    assert (await either.ask("unload_all", force=True))["unloaded_models"] == [TEXT]


async def test_a_load_tells_how_far_it_has_come(either: Either, server: FakeServer) -> None:
    gate = server.hold_load(CHAT)
    server.model(CHAT).progress = [WorkerProgress(stage="downloading", done_bytes=250, total_bytes=1000)]
    told: list[LoadProgress] = []

    def tell(progress: LoadProgress) -> None:
        told.append(progress)
        if progress.percent is not None:
            gate.open()

    assert (await either.ask("load", CHAT, on_progress=tell))["model_id"] == CHAT

    assert [progress.stage for progress in told[:2]] == ["queued", "loading"]
    downloading = next(progress for progress in told if progress.percent is not None)
    assert (downloading.stage, downloading.done_bytes, downloading.total_bytes) == ("downloading", 250, 1000)
    assert downloading.percent == 25
    assert downloading.eta_s is not None


async def test_a_load_that_fails_raises_why_beside_its_progress(either: Either, server: FakeServer) -> None:
    server.model(CHAT).load_error = ModelLoadError("no such file")
    with pytest.raises(ModelLoadError, match="no such file"):
        await either.ask("load", CHAT, on_progress=lambda _: None)


async def test_what_a_callback_raises_ends_the_wait_for_a_load(either: Either, server: FakeServer) -> None:
    gate = server.hold_load(CHAT)

    def fail(_: LoadProgress) -> None:
        raise ValueError("of the callback")

    with pytest.raises(ValueError, match="of the callback"):
        await either.ask("load", CHAT, on_progress=fail)
    gate.open()


async def test_events_that_happened_are_told(either: Either) -> None:
    await either.ask("load", CHAT)
    page = await either.ask("past_events", CHAT)
    kinds = [event["kind"] for event in page["events"]]
    assert kinds[-1] == "loaded"
    assert (await either.ask("past_events", after=page["last"]))["events"] == []
    assert len((await either.ask("past_events", limit=1))["events"]) == 1


async def test_a_text_is_continued_whole_and_in_pieces(either: Either) -> None:
    answer = await either.ask("generate", "Hi", model=TEXT, max_new_tokens=2)
    assert answer["generated_text"] == ["Hiword0 word1 "]
    stream = either.client.stream("Hi", model=TEXT, max_new_tokens=2)
    assert [piece["text"] for piece in await pieces_of(stream)] == ["word0 ", "word1 "]
    assert stream.answer == answer


async def test_several_texts_are_continued_in_one_request(either: Either, server: FakeServer) -> None:
    server.model(TEXT).answer = str.upper
    answers = await either.ask("generate_many", ["ab", "cd"], model=TEXT)
    assert [answer["generated_text"] for answer in answers] == [["abAB"], ["cdCD"]]
    stream = either.client.stream_many(["ab", "cd"], model=TEXT)
    pieces = await pieces_of(stream)
    assert sorted((piece["text_index"], piece["text"]) for piece in pieces) == [(0, "AB"), (1, "CD")]
    assert stream.answer["answers"] == answers
    assert len(server.requests) == 2


async def test_a_message_is_answered_whole_and_in_pieces(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = "Well, hello."
    answer = await either.ask("chat", "Hi", model=CHAT)
    assert answer["response"] == "Well, hello."
    stream = either.client.stream_chat("And now?", model=CHAT, context=answer["context"])
    assert "".join(piece["text"] for piece in await pieces_of(stream)) == "Well, hello."
    assert stream.answer["context"] != answer["context"]


async def test_models_are_compared(either: Either, server: FakeServer) -> None:
    server.model(CHAT).answer = "a"
    server.model(TEXT).generation_error = ModelLoadError("broken")
    answers = await either.ask("compare", [CHAT, TEXT], message="Hi")
    assert [answer["answer"] for answer in answers] == ["a", None]
    stream = either.client.stream_compare([CHAT, TEXT], message="Hi")
    assert [(piece["model_id"], piece["text"]) for piece in await pieces_of(stream)] == [(CHAT, "a")]
    assert {answer["model_id"] for answer in stream.answers} == {CHAT, TEXT}


async def test_tokens_are_counted_and_spelled(either: Either) -> None:
    tokens = (await either.ask("tokenize", "one two one", model=TEXT))["tokens"]
    assert tokens == [0, 1, 0]
    assert (await either.ask("detokenize", tokens, model=TEXT))["prompt"] == "one two one"
    assert (await either.ask("tokenizer_info", TEXT))["eos_token"] == "</s>"


async def test_texts_are_read(either: Either, server: FakeServer) -> None:
    server.model("fake-embedding").read = lambda text: [float(len(text))] * 8
    assert await either.ask("embed", ["a", "bc"], model="fake-embedding") == [[1.0] * 8, [2.0] * 8]
    server.model("fake-reranker").read = lambda query, document: [0.9 if query in document else 0.1]
    ranked = await either.ask("rerank", "mare", ["a cow", "a mare"], model="fake-reranker", top_n=1)
    assert [item["index"] for item in ranked] == [1]
    scores = await either.ask("score", "mare", ["a cow", "a mare"], model="fake-reranker")
    assert scores == pytest.approx([0.1, 0.9])
    server.model("fake-classifier").read = lambda _: [0.25, 0.75]
    (label,) = await either.ask("classify", ["fine"], model="fake-classifier")
    assert (label["label"], label["probs"]) == ("positive", [0.25, 0.75])


async def test_the_server_is_administered(either: Either) -> None:
    dry = await either.ask("reload_config", dry_run=True)
    assert (dry["dry_run"], len(dry["unchanged"])) == (True, 5)
    assert (await either.ask("reload_config"))["dry_run"] is False
    before = (await either.ask("set_log_level", "ERROR"))["previous"]
    assert (await either.ask("set_log_level", before))["previous"] == "ERROR"
    assert (await either.ask("clear_gpu_memory"))["freed_mb"] == 0


async def test_mistakes_are_told_with_their_field_status_and_request(either: Either) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await either.ask("generate", "Hi", model=TEXT, temperature=7)
    error = caught.value
    assert (error.status, error.type, error.param) == (422, "invalid_request_error", "temperature")
    assert error.request_id
    with pytest.raises(ContextLengthError) as caught_later:
        await pieces_of(either.client.stream("word " * 2000, model=TEXT))
    assert caught_later.value.status == 400
    assert caught_later.value.request_id
