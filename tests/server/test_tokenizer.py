import asyncio
from typing import Any

import msgspec
import pytest

from hostler.errors import ModelLoadError
from hostler.testing.model import TOKENIZER
from hostler.types import Caller, TokenizerFacts
from tests.server.conftest import Served, serving
from tests.server.test_streaming import has_request, listening, post, until

TEMPLATE = "{{ messages }}"


async def test_text_becomes_tokens_and_tokens_become_text(served: Served) -> None:
    tokenized = (await served.client.post("/models/tiny-text/tokenize", json={"prompt": "a rose is a rose"})).json()
    assert tokenized == {"tokens": [0, 1, 2, 0, 1], "count": 5, "max_model_len": 1024, "model_id": "tiny-text"}
    spelled = await served.client.post("/models/tiny-text/detokenize", json={"tokens": tokenized["tokens"]})
    assert spelled.json() == {"prompt": "a rose is a rose", "model_id": "tiny-text"}
    assert served.manager.status("tiny-text").num_leases == 0


async def test_a_conversation_becomes_tokens(served: Served) -> None:
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    tokenized = await served.client.post("/tokenize", json={"model": "tiny-chat", "messages": messages})
    assert (tokenized.json()["tokens"], tokenized.json()["model_id"]) == ([0, 1, 2], "tiny-chat")


async def test_the_tokenizers_facts_are_told(served: Served) -> None:
    facts = TokenizerFacts(vocab_size=9, bos_token="<s>", eos_token="</s>", pad_token=None, chat_template=TEMPLATE)
    served.launcher.model("tiny-chat").tokenizer = facts
    assert (await served.client.get("/models/tiny-chat/tokenizer_info")).json() == {
        "model_id": "tiny-chat",
        "max_model_len": 1024,
        **msgspec.structs.asdict(facts),
    }


async def usual_model(served: Served) -> str:
    model_id: str = (await served.client.get("/tokenizer_info")).json()["model_id"]
    return model_id


async def test_without_a_name_the_only_model_in_memory_is_asked(served: Served) -> None:
    await served.client.post("/models/other-text/load")
    assert await usual_model(served) == "other-text"
    for path, body in (("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": []})):
        assert (await served.client.post(path, json=body)).json()["model_id"] == "other-text"


async def test_without_a_name_and_with_several_in_memory_it_is_the_default_model() -> None:
    async with serving(default_model="acme/Other") as served:
        await until(lambda: served.services.is_ready)
        await served.client.post("/models/tiny-text/load")
        assert await usual_model(served) == "other-text"


async def test_without_a_name_and_a_default_it_is_the_first_that_is_registered(served: Served) -> None:
    assert await usual_model(served) == "tiny-chat"
    await served.client.post("/models/tiny-text/load")
    assert await usual_model(served) == "tiny-chat"


async def test_what_lm_eval_sends_is_answered_as_it_reads_it(served: Served) -> None:
    info = (await served.client.get("/tokenizer_info")).json()
    assert info["eos_token"] == TOKENIZER.eos_token
    tokens = (await served.client.post("/tokenize", json={"prompt": "a b", "add_special_tokens": False})).json()
    assert isinstance(tokens["tokens"], list)
    spelled = (await served.client.post("/detokenize", json={"tokens": tokens["tokens"]})).json()
    assert spelled["prompt"] == "a b"


@pytest.mark.parametrize("asked", [{}, {"add_special_tokens": None}])
async def test_special_tokens_are_added_unless_told_otherwise(
    served: Served, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.client.post("/models/tiny-text/load")
    worker = served.launcher.worker("tiny-text")
    seen: list[bool] = []

    async def tokenize(prompt: object, *, add_special_tokens: bool = False, caller: Caller) -> list[int]:
        seen.append(add_special_tokens)
        return []

    monkeypatch.setattr(worker, "tokenize", tokenize)
    await served.client.post("/tokenize", json={"prompt": "a", **asked})
    await served.client.post("/tokenize", json={"prompt": "a", "add_special_tokens": False})
    assert seen == [True, False]


async def test_a_model_is_told_who_asks(served: Served) -> None:
    await served.client.post("/models/tiny-text/tokenize", json={"prompt": "a"})
    await served.client.post("/models/tiny-text/detokenize", json={"tokens": [0]})
    await served.client.get("/models/tiny-text/tokenizer_info")
    message = {"model": "tiny-text", "messages": [{"role": "user", "content": "a"}]}
    await served.client.post("/v1/messages/count_tokens", json=message)
    callers = served.launcher.worker("tiny-text").callers
    assert len(callers) == 4
    assert all(caller.id.startswith("address:") for caller in callers)


async def test_a_token_outside_the_vocabulary_is_a_400(served: Served) -> None:
    response = await served.client.post("/models/tiny-text/detokenize", json={"tokens": [77]})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_value")
    assert served.manager.status("tiny-text").num_leases == 0


async def test_an_unknown_model_is_a_404_by_body_and_by_path(served: Served) -> None:
    for path in ("/tokenize", "/models/none/tokenize"):
        response = await served.client.post(path, json={"model": "none", "prompt": "a"})
        assert (response.status_code, response.json()["code"]) == (404, "model_not_found")


async def test_a_model_that_cannot_be_loaded_says_why(served: Served) -> None:
    served.launcher.model("tiny-text").load_error = ModelLoadError("the file is cut short")
    response = await served.client.post("/models/tiny-text/tokenize", json={"prompt": "a"})
    assert (response.status_code, response.json()["code"]) == (503, "model_load_failed")


async def test_keep_alive_holds_here_too(served: Served) -> None:
    await served.client.post("/models/tiny-text/tokenize", json={"prompt": "a", "keep_alive": "5m"})
    assert (await served.client.get("/models/tiny-text/info")).json()["keep_alive"] == 300


@pytest.mark.parametrize(
    ("path", "body"), [("/tokenize", {"prompt": "a"}), ("/models/tiny-chat/detokenize", {"tokens": [1]})]
)
async def test_a_client_that_leaves_while_the_model_loads_withdraws(path: str, body: dict[str, Any]) -> None:
    async with listening() as (port, launcher, manager):
        gate = launcher.model("tiny-chat").load_gate = asyncio.Event()
        _, writer = await post(port, path, body)
        await until(lambda: manager.status("tiny-chat").num_waiting == 1)
        writer.close()
        await until(lambda: manager.status("tiny-chat").num_waiting == 0)
        gate.set()
        await until(lambda: manager.loaded_ids() == ["tiny-chat"])
        assert not has_request(launcher, 0)
