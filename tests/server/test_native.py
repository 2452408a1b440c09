from typing import Any

import msgspec
import pytest

from hostler.errors import EngineRequestError
from hostler.protocol.conversation import decode_context
from hostler.testing.model import FACTS
from hostler.types import ChatFormat, ChatMessage, ChatPrompt, TextPrompt
from tests.server.conftest import Served
from tests.server.test_openai import events

TEMPLATE = msgspec.structs.replace(FACTS, chat_format=ChatFormat.TEMPLATE)


async def test_generate_answers_with_the_fields_of_the_contract(served: Served) -> None:
    asked = {"text": "once upon", "max_new_tokens": 2, "num_return_sequences": 2, "seed": 5, "stop": ["end"]}
    for path in ("/generate", "/models/tiny-text/generate", "/models/tiny/generate"):
        response = await served.client.post(path, json=asked)
        assert response.json() == {
            "generated_text": ["once uponword0 word1 "] * 2,
            "model_id": "tiny-text",
            "model_name": "tiny",
            "input_length": 2,
            "output_length": [4, 4],
            "generation_params": {
                "max_length": 4,
                "max_new_tokens": 2,
                "temperature": 0.7,
                "top_p": 0.9,
                "top_k": 50,
                "do_sample": True,
                "num_return_sequences": 2,
                "seed": 5,
                "stop": ["end"],
            },
        }


async def test_an_encoder_decoder_model_answers_without_its_prompt(served: Served) -> None:
    served.launcher.model("tiny-text").facts = msgspec.structs.replace(FACTS, is_encoder_decoder=True)
    body = (await served.client.post("/generate", json={"text": "a b c", "max_length": 2})).json()
    assert body["generated_text"] == ["word0 "]
    assert (body["input_length"], body["output_length"]) == (3, [1])
    assert body["generation_params"]["max_length"] == 2, "the decoder's start counts, as in transformers"


async def test_a_greedy_request_says_so_in_its_parameters(served: Served) -> None:
    body = (await served.client.post("/generate", json={"text": "a", "temperature": 0})).json()
    assert body["generation_params"]["do_sample"] is False
    assert body["generation_params"]["temperature"] == 0


async def test_a_stream_ends_with_the_whole_answer(served: Served) -> None:
    asked = {"text": "a", "max_new_tokens": 2}
    whole = (await served.client.post("/generate", json=asked)).json()
    streamed = await served.client.post("/generate", json=asked | {"stream": True})
    assert events(streamed.text) == [
        {"index": 0, "text": "word0 ", "finish_reason": None},
        {"index": 0, "text": "word1 ", "finish_reason": "length"},
        whole,
    ]


async def test_several_texts_are_answered_each_as_if_asked_for_alone(served: Served) -> None:
    asked = {"max_new_tokens": 2, "num_return_sequences": 2, "seed": 5}
    alone = [(await served.client.post("/generate", json=asked | {"text": text})).json() for text in ("a", "b c")]
    together = await served.client.post("/generate", json=asked | {"texts": ["a", "b c"]})
    assert together.json() == {"answers": alone}
    assert {params.seed for _, params in served.launcher.worker("tiny-text").requests} == {5}
    (one,) = (await served.client.post("/generate", json=asked | {"texts": ["a"]})).json()["answers"]
    assert one == alone[0], "a list of one text is answered with a list"


async def test_a_stream_of_several_texts_says_which_text_each_piece_belongs_to(served: Served) -> None:
    asked = {"texts": ["a", "b"], "max_new_tokens": 1, "num_return_sequences": 2}
    whole = (await served.client.post("/generate", json=asked)).json()
    *pieces, last = events((await served.client.post("/generate", json=asked | {"stream": True})).text)
    assert last == whole
    assert sorted((piece.pop("text_index"), piece.pop("index")) for piece in pieces) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert pieces == [{"text": "word0 ", "finish_reason": "length"}] * 4


async def test_more_texts_than_may_wait_are_refused_before_anything_starts(served: Served) -> None:
    response = await served.client.post("/models/other-text/generate", json={"texts": ["a"] * 4})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")
    assert "max_queued_requests" in response.json()["detail"]
    assert served.launcher.workers == []


NATIVE = [
    ("/generate", {"text": "a"}),
    ("/models/tiny-text/generate", {"text": "a"}),
    ("/models/tiny-text/generate", {"texts": ["a", "b"]}),
    ("/chat", {"message": "a"}),
    ("/models/tiny-text/chat", {"message": "a"}),
]


@pytest.mark.parametrize(("path", "content"), NATIVE)
async def test_limit_seed_and_stop_reach_the_engine_from_every_route(
    served: Served, path: str, content: dict[str, Any]
) -> None:
    asked = {"max_new_tokens": 3, "seed": 7, "stop": "end"}
    response = await served.client.post(path, json=content | asked)
    assert response.status_code == 200
    for _, params in served.launcher.workers[-1].requests:
        assert (params.max_tokens, params.seed, params.stop) == (3, 7, ["end"])


@pytest.mark.parametrize(("path", "content"), NATIVE)
async def test_every_route_streams(served: Served, path: str, content: dict[str, Any]) -> None:
    response = await served.client.post(path, json=content | {"max_new_tokens": 1, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert events(response.text)[0]["text"] == "word0 "
    assert response.text.endswith("data: [DONE]\n\n")


async def test_chat_answers_with_the_fields_of_the_contract(served: Served) -> None:
    for path in ("/chat", "/models/acme%2FTiny-Chat/chat"):
        body = (await served.client.post(path, json={"message": "hi", "max_length": 1})).json()
        assert set(body) == {"response", "model_id", "model_name", "context"}
        assert (body["response"], body["model_id"], body["model_name"]) == ("word0 ", "tiny-chat", "acme/Tiny-Chat")


async def test_every_type_of_model_chats(served: Served) -> None:
    for model_id in served.manager.registry:
        assert (await served.client.post(f"/models/{model_id}/chat", json={"message": "hi"})).status_code == 200


async def test_a_conversation_goes_on_through_its_context(served: Served) -> None:
    served.launcher.model("tiny-chat").facts = TEMPLATE
    first = (await served.client.post("/chat", json={"message": "one", "max_length": 1})).json()
    second = (await served.client.post("/chat", json={"message": "two", "context": first["context"]})).json()
    prompt, params = served.launcher.worker("tiny-chat").requests[-1]
    assert prompt == ChatPrompt(
        messages=[
            ChatMessage(role="user", content="one"),
            ChatMessage(role="assistant", content="word0 "),
            ChatMessage(role="user", content="two"),
        ],
        drop_oldest=True,
    )
    assert params.temperature == 0.5
    assert [turn.content for turn in decode_context(second["context"])][:3] == ["one", "word0 ", "two"]


async def test_a_context_never_grows_beyond_the_models_limit(served: Served) -> None:
    served.launcher.model("tiny-chat").facts = msgspec.structs.replace(TEMPLATE, max_model_len=40)
    context = None
    sizes = []
    for i in range(12):
        asked = {"message": f"message {i} has five words", "max_length": 3, "context": context}
        context = (await served.client.post("/chat", json=asked)).json()["context"]
        sizes.append(len(decode_context(context)))
    assert sizes[0] == 2
    assert sizes[-1] == sizes[-2] < 24
    assert decode_context(context or "")[-2].content.startswith("message 11")


async def test_a_model_without_a_chat_format_gets_the_message_itself(served: Served) -> None:
    asked = {"message": "two", "context": "some other text"}
    body = (await served.client.post("/models/tiny-text/chat", json=asked)).json()
    assert served.launcher.worker("tiny-text").requests[-1][0] == TextPrompt(text="two")
    assert len(decode_context(body["context"])) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "a", "max_length": 0}, "max_length"),
        ({"text": "a", "colour": 1}, "colour"),
        ({}, "text"),
        ({"text": "a", "texts": ["a"]}, "text"),
        ({"texts": []}, "texts"),
        ({"texts": "a"}, "texts"),
        ({"texts": ["a"] * 1025}, "texts"),
        ({"texts": ["a"] * 300, "num_return_sequences": 4}, "texts"),
        ({"text": "a", "max_length": 5, "max_new_tokens": 5}, "max_new_tokens"),
        ({"text": "a", "do_sample": False, "num_return_sequences": 2}, "num_return_sequences"),
    ],
)
async def test_a_bad_field_is_a_422_in_fastapis_form(served: Served, body: dict[str, Any], field: str) -> None:
    response = await served.client.post("/generate", json=body)
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["body", field]
    assert {"type", "loc", "msg"} <= set(problem)


async def test_max_length_that_leaves_no_room_is_a_400_with_both_numbers(served: Served) -> None:
    response = await served.client.post("/generate", json={"text": "a b c", "max_length": 3})
    assert response.status_code == 400
    assert response.json()["code"] == "context_length_exceeded"
    assert response.json()["detail"].count("3") == 2


async def test_a_damaged_context_is_a_400(served: Served) -> None:
    response = await served.client.post("/chat", json={"message": "a", "context": "hostler-context-1:%%"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")


async def test_an_error_in_a_stream_has_the_native_form(served: Served) -> None:
    model = served.launcher.model("tiny-text")
    model.generation_error = EngineRequestError("lost")
    model.num_free_words = 1
    response = await served.client.post("/generate", json={"text": "a", "stream": True})
    assert events(response.text)[-1] == {"error": {"detail": "lost", "code": "engine_error"}}
