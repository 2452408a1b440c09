import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import openai
import pytest

from hostler.errors import ContextLengthError
from hostler.protocol.pooling import MAX_INPUTS
from hostler.testing.model import FACTS
from hostler.testing.worker import FakeLauncher
from hostler.types import PoolingFacts, PoolingParams, PoolingTask, TextPair, TextPrompt, TokenPrompt
from tests.server.conftest import MODELS, Served, serving
from tests.server.test_streaming import until

POOLING = {
    "tiny-embedder": {"name": "acme/Embedder", "type": "embedding"},
    "tiny-reranker": {"name": "acme/Reranker", "type": "reranker"},
    "tiny-classifier": {"name": "acme/Classifier", "type": "classifier"},
}
LABELS = ["neutral", "good"]
TEXTS = ["The grey mare", "a fast horse runs"]
VALID: dict[str, dict[str, Any]] = {
    "embeddings": {"model": "tiny-embedder", "input": "mare"},
    "rerank": {"model": "tiny-reranker", "query": "mare", "documents": ["mare"]},
    "score": {"model": "tiny-reranker", "text_1": "mare", "text_2": "mare"},
    "classify": {"model": "tiny-classifier", "input": "mare"},
}


MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    ("embeddings", {"input": ""}, "input", "empty string"),
    ("embeddings", {"input": []}, "input", "should be a string"),
    ("embeddings", {"input": ["mare", ""]}, "input", "number 1"),
    ("embeddings", {"input": [[]]}, "input", "not be empty"),
    ("embeddings", {"input": ["mare"] * (MAX_INPUTS + 1)}, "input", "at most 2048"),
    ("embeddings", {"input": None}, "input", "should be a string"),
    ("embeddings", {"dimensions": 0}, "dimensions", "greater than or equal to 1"),
    ("embeddings", {"encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
    ("embeddings", {"truncate_prompt_tokens": -2}, "truncate_prompt_tokens", "greater than or equal to -1"),
    ("rerank", {"documents": ["mare"] * 10_000}, "documents", "at most 2048 items, not 10000"),
    ("rerank", {"documents": []}, "documents", "at least one"),
    ("rerank", {"documents": ["mare", ""]}, "documents", "number 1"),
    ("rerank", {"documents": [{"body": "mare"}]}, "documents", "number 0"),
    ("rerank", {"query": ""}, "query", "at least 1 character"),
    ("rerank", {"top_n": 0}, "top_n", "greater than or equal to 1"),
    ("score", {"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "text_2", "as many texts as text_1"),
    ("score", {"text_1": ""}, "text_1", "empty string"),
    ("classify", {"input": ["mare"] * (MAX_INPUTS + 1)}, "input", "at most 2048"),
    ("classify", {"temperature": 1}, "temperature", "Unknown field"),
]


def know_what_they_do(launcher: FakeLauncher) -> None:
    """The facts of the models in `POOLING`."""
    for model_id, pooling in {
        "tiny-embedder": PoolingFacts(num_values=4, input_types=["query"]),
        "tiny-reranker": PoolingFacts(num_values=1),
        "tiny-classifier": PoolingFacts(num_values=2, labels=LABELS),
    }.items():
        launcher.model(model_id).facts = msgspec.structs.replace(FACTS, pooling=pooling)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(models=MODELS | POOLING) as running:
        know_what_they_do(running.launcher)
        yield running


async def post(served: Served, path: str, body: dict[str, Any]) -> Any:
    response = await served.client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def refusal(served: Served, path: str, body: dict[str, Any]) -> tuple[str, str]:
    """Field and message."""
    response = await served.client.post(path, json=body)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    return error["param"], error["message"]


async def test_each_text_gets_its_vector(served: Served) -> None:
    answer = await post(served, "/v1/embeddings", {"model": "acme/Embedder", "input": TEXTS, "user": "anna"})
    assert answer == {
        "object": "list",
        "model": "tiny-embedder",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [3.0, 0.5, 0.5, 0.5]},
            {"object": "embedding", "index": 1, "embedding": [4.0, 0.5, 0.5, 0.5]},
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    assert served.manager.status("tiny-embedder").num_leases == 0


async def test_base64_is_little_endian_float32(served: Served) -> None:
    body = {"model": "tiny-embedder", "input": TEXTS, "encoding_format": "base64", "dimensions": 2}
    data = (await post(served, "/v1/embeddings", body))["data"]
    assert [struct.unpack("<2f", base64.b64decode(item["embedding"])) for item in data] == [(3.0, 0.5), (4.0, 0.5)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mare", [TextPrompt(text="mare")]),
        (TEXTS, [TextPrompt(text=text) for text in TEXTS]),
        ([5, 6, 7], [TokenPrompt(token_ids=[5, 6, 7])]),
        ([[5], [6, 7]], [TokenPrompt(token_ids=[5]), TokenPrompt(token_ids=[6, 7])]),
    ],
)
async def test_an_input_is_text_or_tokens_one_or_many(served: Served, value: Any, expected: Any) -> None:
    await post(served, "/v1/embeddings", {"model": "tiny-embedder", "input": value})
    await post(served, "/v1/classify", {"model": "tiny-classifier", "input": value})
    assert served.launcher.worker("tiny-embedder").pooled[0][0] == expected
    assert served.launcher.worker("tiny-classifier").pooled[0][0] == expected


async def test_what_is_asked_besides_reaches_the_engine(served: Served) -> None:
    body = VALID["embeddings"] | {"dimensions": 3, "truncate_prompt_tokens": -1, "input_type": "query"}
    await post(served, "/v1/embeddings", body)
    assert served.launcher.worker("tiny-embedder").pooled[0][1] == PoolingParams(
        task=PoolingTask.EMBED, param="input", dimensions=3, truncate_tokens=-1, input_type="query"
    )


@pytest.mark.parametrize("model", ["tiny-reranker", "tiny-embedder"])
async def test_documents_come_the_most_relevant_first(served: Served, model: str) -> None:
    served.launcher.model("tiny-embedder").facts = FACTS
    documents = ["a cow", {"text": "a grey mare"}, "a mare"]
    body = {"model": model, "query": "a grey mare", "documents": documents, "return_documents": True}
    answer = await post(served, "/v1/rerank", body)
    assert answer["results"] == [
        {"index": 1, "relevance_score": 3.0, "document": {"text": "a grey mare"}},
        {"index": 2, "relevance_score": 2.0, "document": {"text": "a mare"}},
        {"index": 0, "relevance_score": 1.0, "document": {"text": "a cow"}},
    ]
    assert (answer["model"], answer["usage"]["total_tokens"]) == (model, 16)
    body = {"model": model, "query": "a grey mare", "documents": documents, "top_n": 1}
    assert (await post(served, "/v1/rerank", body))["results"] == [{"index": 1, "relevance_score": 3.0}]


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        ("a", "b", [("a", "b")]),
        ("a", ["b", "c"], [("a", "b"), ("a", "c")]),
        (["a", "d"], ["b", "c"], [("a", "b"), ("d", "c")]),
    ],
)
async def test_scores_are_of_pairs(served: Served, first: Any, second: Any, pairs: Any) -> None:
    answer = await post(served, "/v1/score", {"model": "tiny-reranker", "text_1": first, "text_2": second})
    asked = served.launcher.worker("tiny-reranker").pooled[0][0]
    assert asked == [TextPair(text=text, text_pair=pair) for text, pair in pairs]
    assert [(item["object"], item["index"], item["score"]) for item in answer["data"]] == [
        ("score", index, 0.0) for index in range(len(pairs))
    ]
    assert answer["object"] == "list"


async def test_a_label_is_the_likeliest_one(served: Served) -> None:
    answer = await post(served, "/v1/classify", {"model": "tiny-classifier", "input": [[1], TEXTS[0]][:1] * 2})
    assert answer["data"] == [
        {"index": index, "label": "neutral", "probs": [1.0, 0.5], "num_classes": 2} for index in range(2)
    ]


async def test_the_model_may_be_named_by_the_path(served: Served) -> None:
    for path, named in VALID.items():
        body = {name: value for name, value in named.items() if name != "model"}
        assert (await post(served, f"/models/{named['model']}/v1/{path}", body))["model"] == named["model"]
        assert (await refusal(served, f"/models/{named['model']}/v1/{path}", {}))[0] in body


async def test_what_is_wrong_is_named_and_nothing_is_loaded(served: Served) -> None:
    for path, changes, param, words in MISTAKES:
        named, message = await refusal(served, f"/v1/{path}", VALID[path] | changes)
        assert named == param, message
        assert words in message
    assert served.launcher.workers == []


async def test_a_model_that_writes_does_not_answer_and_is_not_loaded_for_that(served: Served) -> None:
    for path, body in VALID.items():
        param, message = await refusal(served, f"/v1/{path}", body | {"model": "tiny-text"})
        assert param == "model"
        assert "'tiny-text' is of type text" in message
        assert f"/v1/{path}" in message
    assert served.launcher.workers == []


async def test_nor_does_one_that_reads_to_another_end(served: Served) -> None:
    for path, model in {
        "embeddings": "tiny-reranker",
        "classify": "tiny-embedder",
        "rerank": "tiny-classifier",
    }.items():
        assert (await refusal(served, f"/v1/{path}", VALID[path] | {"model": model}))[0] == "model"


async def test_a_model_that_reads_writes_nothing_and_is_not_loaded_for_that(served: Served) -> None:
    model = "tiny-embedder"
    for is_streamed in (False, True):
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": is_streamed}
        param, message = await refusal(served, "/v1/chat/completions", body)
        assert param == "model"
        assert "is of type embedding" in message
    assert (await refusal(served, "/v1/completions", {"model": model, "prompt": "Hi"}))[0] == "model"
    response = await served.client.post(f"/models/{model}/generate", json={"text": "Hi"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")
    compared = (await served.client.post("/compare", json={"models": ["tiny-text", model], "text": "Hi"})).json()
    assert [answer["error"] is None for answer in compared["answers"]] == [True, False]
    assert served.launcher.workers_of(model) == []


async def test_an_error_of_the_engine_reaches_the_caller(served: Served) -> None:
    served.launcher.model("tiny-embedder").generation_error = ContextLengthError("input[0] is too long", param="input")
    response = await served.client.post("/v1/embeddings", json=VALID["embeddings"])
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_the_types_are_told(served: Served) -> None:
    assert (await served.client.get("/models/types/embedding")).json()["models"] == ["tiny-embedder"]
    assert (await served.client.get("/models")).json()["tiny-reranker"]["type"] == "reranker"
    abilities = (await served.client.get("/models/tiny-classifier/capabilities")).json()
    assert abilities["pooling"] is None
    await served.client.post("/models/tiny-classifier/load")
    abilities = (await served.client.get("/models/tiny-classifier/capabilities")).json()
    assert abilities["parameters"].keys() == {"/v1/classify"}
    assert abilities["parameters"]["/v1/classify"].keys() == {"truncate_prompt_tokens", "keep_alive"}
    assert abilities["pooling"] == {"num_values": 2, "labels": LABELS, "input_types": []}
    assert {"POST /v1/classify", "POST /models/tiny-classifier/v1/classify", "POST /tokenize"} <= set(
        abilities["routes"]
    )
    others = ("/v1/chat/completions", "/v1/embeddings", "/generate", "/compare", "/v1/rerank")
    assert not any(route.endswith(others) for route in abilities["routes"])
    routes = (await served.client.get("/models/tiny-text/capabilities")).json()["routes"]
    assert not any(route.endswith(("/v1/embeddings", "/v1/rerank")) for route in routes)


async def test_a_deep_check_has_it_read_something(served: Served) -> None:
    for model in POOLING:
        await served.client.post(f"/models/{model}/load")
        health = (await served.client.get(f"/models/{model}/health?deep=1")).json()
        assert health["deep"]["seconds"] >= 0
        assert len(served.launcher.worker(model).pooled) == 1


async def test_a_client_that_hangs_up_withdraws_its_texts(served: Served) -> None:
    served.launcher.model("tiny-embedder").admission_gate = asyncio.Event()
    asking = asyncio.create_task(served.client.post("/v1/embeddings", json=VALID["embeddings"]))
    await until(lambda: bool(served.launcher.workers) and bool(served.launcher.worker("tiny-embedder").pooled))
    asking.cancel()
    await until(lambda: served.launcher.worker("tiny-embedder").num_aborted == 1)
    await until(lambda: served.manager.status("tiny-embedder").num_leases == 0)


async def test_openais_client_reads_the_vectors(served: Served) -> None:
    async with openai.AsyncOpenAI(api_key="-", base_url="http://localhost/v1", http_client=served.client) as client:
        found = await client.embeddings.create(model="tiny-embedder", input=TEXTS)
    assert [item.embedding for item in found.data] == [[3.0, 0.5, 0.5, 0.5], [4.0, 0.5, 0.5, 0.5]]
    assert found.usage.prompt_tokens == 7


async def test_what_a_model_reads_is_counted_like_the_prompts_of_others(served: Served) -> None:
    answer = await served.client.post("/v1/embeddings", json={"model": "tiny-embedder", "input": TEXTS})
    num_tokens = answer.json()["usage"]["prompt_tokens"]
    metrics = (await served.client.get("/metrics")).text
    assert num_tokens > 0
    assert f'hostler_prompt_tokens_total{{key="-",model="tiny-embedder"}} {float(num_tokens)}' in metrics
    assert 'hostler_model_wait_seconds_count{model="tiny-embedder"} 1.0' in metrics
    assert 'hostler_engine_queue_seconds_count{model="tiny-embedder"} 1.0' in metrics


async def test_a_model_is_told_who_asks(served: Served) -> None:
    for path, body in VALID.items():
        await post(served, f"/v1/{path}", body)
    callers = [caller.id for model in POOLING for caller in served.launcher.worker(model).callers]
    assert len(callers) == len(VALID)
    assert all(callers)
