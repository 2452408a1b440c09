"""Logprobs, echo and best_of, as OpenAI's clients and lm-evaluation-harness read them."""

import json
from typing import Any

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from hostler.server.answer import Sequence
from hostler.server.openai_formats import best_sequences
from hostler.server.openai_logprobs import CompletionLogprobsWriter, chat_logprobs
from hostler.types import TokenLogprob, TokenLogprobs
from tests.server.conftest import Served
from tests.server.test_openai import CHAT, COMPLETION, events


def top(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


FIRST = top("word0 ", -1.0) | {"top_logprobs": [top("rival0", -1.1518), top("rival1", -1.845)]}
SECOND = top("word1 ", -0.5) | {"top_logprobs": [top("rival0", -1.6259), top("rival1", -2.319)]}


async def test_a_chat_answer_has_an_entry_per_token_with_its_rivals(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"logprobs": True, "top_logprobs": 2})
    assert response.json()["choices"][0]["logprobs"] == {"content": [FIRST, SECOND], "refusal": None}
    ChatCompletion.model_validate_json(response.text, strict=True)


async def test_without_top_logprobs_the_list_of_rivals_is_empty(served: Served) -> None:
    response = await served.client.post("/v1/chat/completions", json=CHAT | {"logprobs": True})
    content = response.json()["choices"][0]["logprobs"]["content"]
    assert content == [top("word0 ", -1.0) | {"top_logprobs": []}, top("word1 ", -0.5) | {"top_logprobs": []}]


async def test_a_chat_streams_the_entries_with_the_text_they_spell(served: Served) -> None:
    asked = CHAT | {"logprobs": True, "top_logprobs": 2, "stream": True}
    chunks = events((await served.client.post("/v1/chat/completions", json=asked)).text)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["logprobs"] for choice in choices] == [
        None,
        {"content": [FIRST], "refusal": None},
        {"content": [SECOND], "refusal": None},
        None,
    ]
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)


async def test_a_completion_has_four_lists_of_one_length(served: Served) -> None:
    response = await served.client.post("/v1/completions", json=COMPLETION | {"logprobs": 1})
    assert response.json()["choices"][0]["logprobs"] == {
        "tokens": ["word0 ", "word1 "],
        "token_logprobs": [-1.0, -0.5],
        "top_logprobs": [{"rival0": -1.1518, "word0 ": -1.0}, {"rival0": -1.6259, "word1 ": -0.5}],
        "text_offset": [0, 6],
    }
    Completion.model_validate_json(response.text, strict=True)


async def test_logprobs_0_gives_the_tokens_own(served: Served) -> None:
    response = await served.client.post("/v1/completions", json=COMPLETION | {"logprobs": 0})
    logprobs = response.json()["choices"][0]["logprobs"]
    assert logprobs["top_logprobs"] == [{"word0 ": -1.0}, {"word1 ": -0.5}]


ECHOED = {
    "tokens": ["a", " b", " c", "word0 "],
    "token_logprobs": [None, -1.0, -2.0, -1.0],
    "top_logprobs": [
        None,
        {"rival0": -1.1518, " b": -1.0},
        {"rival0": -0.8386, " c": -2.0},
        {"rival0": -1.1518, "word0 ": -1.0},
    ],
    "text_offset": [0, 1, 3, 5],
}


async def test_echo_puts_the_prompt_and_its_entries_before_the_answer(served: Served) -> None:
    asked = COMPLETION | {"echo": True, "logprobs": 1, "max_tokens": 1}
    choice = (await served.client.post("/v1/completions", json=asked)).json()["choices"][0]
    assert (choice["text"], choice["logprobs"]) == ("a b cword0 ", ECHOED)


async def test_every_choice_of_an_echo_begins_with_its_own_prompt(served: Served) -> None:
    asked = COMPLETION | {"prompt": ["a", "b c"], "echo": True, "logprobs": 0, "n": 2, "max_tokens": 1}
    choices = (await served.client.post("/v1/completions", json=asked)).json()["choices"]
    assert [choice["text"] for choice in choices] == ["aword0 "] * 2 + ["b cword0 "] * 2
    assert [choice["logprobs"]["tokens"] for choice in choices] == [["a", "word0 "]] * 2 + [["b", " c", "word0 "]] * 2


async def test_echo_with_no_new_token_is_the_prompt_alone(served: Served) -> None:
    asked = COMPLETION | {"echo": True, "logprobs": 0, "max_tokens": 0}
    response = await served.client.post("/v1/completions", json=asked)
    choice = response.json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("a b c", "length")
    assert choice["logprobs"]["token_logprobs"] == [None, -1.0, -2.0]
    assert response.json()["usage"]["completion_tokens"] == 0


@pytest.mark.parametrize("n", [1, 2])
async def test_a_streamed_echo_sends_the_prompt_whole_in_the_first_chunk(served: Served, n: int) -> None:
    asked = COMPLETION | {"echo": True, "logprobs": 1, "max_tokens": 2, "n": n, "stream": True}
    chunks = events((await served.client.post("/v1/completions", json=asked)).text)
    for index in range(n):
        pieces = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert [piece["text"] for piece in pieces] == ["a b cword0 ", "word1 ", ""]
        assert pieces[0]["logprobs"]["tokens"] == ECHOED["tokens"]
        assert pieces[0]["logprobs"]["text_offset"] == ECHOED["text_offset"]
        assert pieces[1]["logprobs"]["text_offset"] == [11]
        assert pieces[2]["logprobs"] is None


async def test_a_streamed_echo_without_logprobs_has_none(served: Served) -> None:
    asked = COMPLETION | {"echo": True, "max_tokens": 1, "stream": True}
    chunks = events((await served.client.post("/v1/completions", json=asked)).text)
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["a b cword0 ", ""]
    assert all(chunk["choices"][0]["logprobs"] is None for chunk in chunks)


async def test_best_of_answers_with_the_likeliest_and_counts_all(served: Served) -> None:
    # The fake engine's sequence i is the likelier the larger i is.
    asked = COMPLETION | {"best_of": 4, "n": 2, "max_tokens": 1, "logprobs": 0}
    body = (await served.client.post("/v1/completions", json=asked)).json()
    assert [choice["logprobs"]["token_logprobs"] for choice in body["choices"]] == [[-0.25], [-1 / 3]]
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["usage"]["completion_tokens"] == 4


async def test_best_of_needs_logprobs_that_nobody_sees(served: Served) -> None:
    asked = COMPLETION | {"prompt": ["a", "b"], "best_of": 3}
    body = (await served.client.post("/v1/completions", json=asked)).json()
    assert [choice["logprobs"] for choice in body["choices"]] == [None, None]


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/chat/completions", CHAT | {"top_logprobs": 2}, "top_logprobs"),
        ("/v1/chat/completions", CHAT | {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ("/v1/completions", COMPLETION | {"logprobs": 6}, "logprobs"),
        ("/v1/completions", COMPLETION | {"best_of": 2, "n": 3}, "best_of"),
        ("/v1/completions", COMPLETION | {"best_of": 2, "stream": True}, "best_of"),
        ("/v1/completions", COMPLETION | {"max_tokens": 0}, "max_tokens"),
    ],
)
async def test_a_mistake_is_a_400_that_names_the_field(
    served: Served, path: str, fields: dict[str, Any], param: str
) -> None:
    response = await served.client.post(path, json=fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def sequence(*logprobs: float) -> Sequence:
    tokens = [TokenLogprobs(token_id=0, text="", bytes=b"", logprob=logprob) for logprob in logprobs]
    return Sequence(num_tokens=len(tokens), logprobs=tokens)


def test_the_best_is_the_likeliest_per_token_and_not_the_shortest() -> None:
    short, long, middle = sequence(-2.0), sequence(-1.0, -1.0, -1.0), sequence(-1.0, -2.0)
    assert best_sequences([short, long, middle], 2) == [long, middle]
    assert best_sequences([short, long], 2) == [short, long]


def test_offsets_count_whole_characters_also_where_tokens_split_them() -> None:
    parts = [b"a", "馬".encode()[:2], "馬".encode()[2:], b"b", None]
    tokens = [TokenLogprobs(token_id=0, text="?", bytes=part, logprob=-1.0) for part in parts]
    writer = CompletionLogprobsWriter()
    assert writer.write(tokens[:2])["text_offset"] + writer.write(tokens[2:])["text_offset"] == [0, 1, 1, 2, 3]


def test_of_two_tokens_spelled_alike_the_likelier_keeps_the_name() -> None:
    rivals = [TokenLogprob(token_id=i, text="x", bytes=b"x", logprob=-float(i)) for i in range(2)]
    written = CompletionLogprobsWriter().write(
        [TokenLogprobs(token_id=1, text="x", bytes=b"x", logprob=-1.0, top=rivals)]
    )
    assert written["top_logprobs"] == [{"x": 0.0}]


def test_the_token_that_ends_a_chat_is_not_among_those_that_spell_it() -> None:
    end = TokenLogprobs(token_id=0, text="</s>", bytes=None, logprob=-1.0)
    assert chat_logprobs([end])["content"] == []
