"""`hostler tokenize`, `detokenize`, `compare` and `capabilities`, against a server that answers from memory."""

import json
from collections.abc import Callable

import httpx2
import pytest

from tests.cli.conftest import Answer, Run

TOKENS = {"tokens": [7, 8], "count": 2, "max_model_len": 64, "model_id": "a"}
ANSWERED = {
    "model_id": "a",
    "model_name": "org/a",
    "answer": " there\nand back",
    "finish_reason": "stop",
    "prompt_tokens": 1,
    "completion_tokens": 4,
    "load_s": 1.5,
    "ttft_s": 0.25,
    "total_s": 2.0,
    "tokens_per_second": 12.34,
    "error": None,
}
FAILED = dict.fromkeys(ANSWERED) | {
    "model_id": "b",
    "model_name": "org/b",
    "error": {"detail": "no room", "code": "wait_timeout"},
}


@pytest.fixture
def seen() -> list[httpx2.Request]:
    return []


@pytest.fixture
def run(run: Run, answer_with: Callable[[Answer], None], seen: list[httpx2.Request]) -> Run:
    answers = {
        "tokenize": TOKENS,
        "detokenize": {"prompt": "Hi there", "model_id": "a"},
        "compare": {"answers": [ANSWERED, FAILED]},
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        action = request.url.path.rpartition("/")[2]
        if action not in answers:
            return httpx2.Response(404, json={"detail": "nothing", "code": "not_found"})
        if json.loads(request.content).get("stream"):
            piece = {"model_id": "a", "text": " there", "finish_reason": None}
            events = "".join(f"data: {json.dumps(event)}\n\n" for event in (piece, FAILED, ANSWERED))
            return httpx2.Response(200, text=f"{events}data: [DONE]\n\n")
        return httpx2.Response(200, json=answers[action])

    answer_with(answer)
    return run


def body_of(request: httpx2.Request) -> object:
    return json.loads(request.content)


def test_tokens_are_printed_as_detokenize_takes_them(run: Run, seen: list[httpx2.Request]) -> None:
    printed = run("tokenize", "Hi there", "--no-special-tokens").stdout
    assert printed == "7 8\n"
    assert run("detokenize", *printed.split(), "--model", "org/a").stdout == "Hi there\n"
    assert body_of(seen[0]) == {"prompt": "Hi there", "add_special_tokens": False}
    assert (seen[1].url.raw_path, body_of(seen[1])) == (b"/models/org%2Fa/detokenize", {"tokens": [7, 8]})


def test_tokens_are_json_for_programs(run: Run) -> None:
    assert json.loads(run("tokenize", "Hi there", "--json").stdout) == TOKENS


def test_a_comparison_shows_each_answer_with_its_timings_or_its_error(run: Run, seen: list[httpx2.Request]) -> None:
    result = run("compare", "Hi", "--model", "a", "--model", "b", "--seed", "3")
    assert result.stdout.splitlines() == [
        "=== a: 4 tokens in 2.00 s, wait 1.50 s, first token after 0.25 s, 12.3 tokens/s",
        " there",
        "and back",
        "",
        "=== b: no room",
    ]
    assert body_of(seen[0]) == {
        "models": ["a", "b"],
        "text": "Hi",
        "max_new_tokens": 100,
        "seed": 3,
        "stream": True,
    }


def test_a_comparison_of_a_chat_is_json_for_programs(run: Run, seen: list[httpx2.Request]) -> None:
    result = run("compare", "Hi", "--model", "a", "--model", "b", "--chat", "--temperature", "0", "--json")
    assert json.loads(result.stdout) == [ANSWERED, FAILED]
    assert body_of(seen[0]) == {
        "models": ["a", "b"],
        "message": "Hi",
        "max_new_tokens": 100,
        "temperature": 0.0,
        "stream": True,
    }


def test_a_comparison_of_no_model_explains_itself(run: Run) -> None:
    result = run("compare", "Hi")
    assert result.exit_code == 2
    assert "--model" in result.output


def test_a_refusal_is_one_line(run: Run) -> None:
    result = run("capabilities", "none")
    assert (result.exit_code, result.output) == (1, "hostler: nothing\n")
