"""Questions about a loaded model's tokenizer, over its worker's socket."""

import asyncio
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hostler.errors import EngineDeadError, InvalidRequestError, QueueFullError, RequestError
from hostler.types import ChatMessage, ChatPrompt, TextPrompt
from hostler.worker.launcher import ForkserverLauncher
from tests.tiny_models import build_tiny_model
from tests.worker.loading import loaded, standing_still

TEXT = "The grey mare 🐴 größer"


async def test_a_worker_tokenises_and_spells_as_its_tokenizer_does(
    launcher: ForkserverLauncher, tmp_path: Path
) -> None:
    folder = build_tiny_model("llama_chat", tmp_path / "llama_chat")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    worker = await loaded(launcher, folder)
    token_ids = await worker.tokenize(TextPrompt(text=TEXT))
    assert token_ids == tokenizer(TEXT).input_ids
    assert await worker.tokenize(TextPrompt(text=""), add_special_tokens=False) == []
    assert await worker.detokenize(token_ids) == tokenizer.decode(token_ids)
    special = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert await worker.detokenize([special]) == "<|im_end|>"
    conversation = ChatPrompt(messages=[ChatMessage(role="user", content=TEXT)])
    expected = tokenizer.apply_chat_template(
        [{"role": "user", "content": TEXT}], add_generation_prompt=True, return_dict=False
    )
    assert await worker.tokenize(conversation) == expected
    facts = await worker.tokenizer_facts()
    assert (facts.vocab_size, facts.eos_token) == (len(tokenizer), tokenizer.eos_token)
    assert facts.chat_template == tokenizer.chat_template
    await worker.stop()


async def test_special_tokens_are_added_to_texts_unless_told(launcher: ForkserverLauncher, tmp_path: Path) -> None:
    worker = await loaded(launcher, build_tiny_model("opt", tmp_path / "opt"))
    bare = await worker.tokenize(TextPrompt(text="mare"), add_special_tokens=False)
    whole = await worker.tokenize(TextPrompt(text="mare"))
    assert whole != bare
    assert whole[1:] == bare
    assert (await worker.tokenizer_facts()).chat_template is None
    await worker.stop()


async def test_a_text_longer_than_the_context_is_tokenised_all_the_same(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    assert len(await worker.tokenize(TextPrompt(text="mare " * 500))) > worker.facts.max_model_len
    await worker.stop()


async def test_a_mistake_in_a_call_comes_back_as_that_mistake(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    with pytest.raises(InvalidRequestError, match="10000000 is outside") as caught:
        await worker.detokenize([5, 10**7])
    assert caught.value.param == "tokens"
    with pytest.raises(RequestError, match="at least one message"):
        await worker.tokenize(ChatPrompt(messages=[]))
    assert await worker.detokenize([]) == ""
    await worker.stop()


async def test_a_call_to_a_worker_that_is_gone_says_so(launcher: ForkserverLauncher, folders: dict[str, Path]) -> None:
    worker = await loaded(launcher, folders["gpt2"])
    with standing_still(worker):
        asked = [asyncio.create_task(worker.tokenize(TextPrompt(text="mare " * 10_000))) for _ in range(3)]
        await asyncio.sleep(0)
        worker._process.kill()
    for answer in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(answer, EngineDeadError)
    with pytest.raises(EngineDeadError):
        await worker.tokenizer_facts()


async def test_calls_beyond_the_queue_are_refused_and_those_given_up_are_not_answered(
    launcher: ForkserverLauncher, folders: dict[str, Path]
) -> None:
    worker = await loaded(launcher, folders["gpt2"], max_queued_requests=2)
    long = TextPrompt(text="The grey mare " * 100_000)
    asked = [asyncio.create_task(worker.tokenize(long)) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, list) for answer in answers) >= 2
    assert {type(answer) for answer in answers} == {list, QueueFullError}
    given_up = asyncio.create_task(worker.tokenize(long))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await worker.tokenize(TextPrompt(text="mare"))
    await worker.stop()
