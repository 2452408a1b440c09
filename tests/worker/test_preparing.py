"""The thread between reader and engine."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Queue
from typing import Any, cast

import pytest

from hostler.engine.factory import Engine
from hostler.engine.text.input_processor import PreparedRequest
from hostler.errors import EngineRequestError, InvalidRequestError, QueueFullError
from hostler.testing.model import FACTS, TOKENIZER
from hostler.types import ANYBODY, Admission, Caller, Prompt, SamplingParams, TextPrompt, TokenizerFacts
from hostler.worker.messages import (
    Admitted,
    CallFailed,
    Detokenize,
    Detokenized,
    FromWorker,
    Generate,
    ReportTokenizer,
    RequestFailed,
    Tokenize,
    Tokenized,
    TokenizerReport,
)
from hostler.worker.preparing import Action, Preparing

TIMEOUT_S = 30


@dataclass
class Sequence:
    request_id: int
    caller: Caller = ANYBODY


@dataclass
class Inputs:
    """Prepares `slow` when told to, and `bad` and `broken` never."""

    begun: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    now: float = 0.0
    """A clock on which each character takes a second."""

    def prepare(self, request_id: int, prompt: Prompt, params: SamplingParams, *, priority: int = 0) -> PreparedRequest:
        assert isinstance(prompt, TextPrompt)
        self.tokenize(prompt, add_special_tokens=True)
        sequence = Sequence(request_id)
        return PreparedRequest(cast(Any, [sequence]), Admission(num_prompt_tokens=1, max_tokens=1))

    def tokenize(self, prompt: TextPrompt, *, add_special_tokens: bool) -> list[int]:
        self.now += len(prompt.text)
        if prompt.text == "slow":
            self.begun.set()
            assert self.go.wait(TIMEOUT_S)
        if prompt.text == "bad":
            raise InvalidRequestError("bad", param="prompt")
        if prompt.text == "broken":
            raise RuntimeError("a bug")
        return [len(prompt.text)]

    def detokenize(self, token_ids: list[int]) -> str:
        return str(token_ids)

    def tokenizer_facts(self) -> TokenizerFacts:
        return TOKENIZER


class Core:
    def __init__(self) -> None:
        self.added: list[int] = []

    def add_request(self, sequences: list[Sequence]) -> None:
        self.added += [sequence.request_id for sequence in sequences]


class Worker:
    """A preparing thread, what it sends, and what it leaves to the engine."""

    def __init__(self, max_queued_requests: int = 100) -> None:
        self.inputs, self.core = Inputs(), Core()
        self.sent: Queue[FromWorker] = Queue()
        self.actions: Queue[Action] = Queue()
        engine = Engine(FACTS, cast(Any, self.inputs), cast(Any, self.core))
        self.preparing = Preparing(
            engine, max_queued_requests, self.sent.put, self.actions.put, clock=lambda: self.inputs.now
        )
        threading.Thread(target=self.preparing.run, daemon=True).start()

    def ask(self, request_id: int, text: str, caller: Caller = ANYBODY) -> None:
        prompt = TextPrompt(text=text)
        self.preparing.take(Generate(request_id=request_id, prompt=prompt, params=SamplingParams(), caller=caller))

    def next(self) -> FromWorker:
        return self.sent.get(timeout=TIMEOUT_S)

    def added(self) -> list[int]:
        """Requests that have gone on to the engine so far."""
        while not self.actions.empty():
            self.actions.get()()
        return self.core.added


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.inputs.go.set()


def report(worker: Worker) -> None:
    """All that came before has been worked off."""
    worker.preparing.take(ReportTokenizer(call_id=99))
    assert worker.next() == TokenizerReport(call_id=99, facts=TOKENIZER)


def test_requests_and_calls_are_prepared_in_the_order_in_which_they_came(worker: Worker) -> None:
    worker.ask(1, "slow")
    worker.preparing.take(Tokenize(call_id=2, prompt=TextPrompt(text="abc"), add_special_tokens=True))
    worker.ask(3, "c")
    worker.preparing.take(Detokenize(call_id=4, token_ids=[7]))
    worker.inputs.go.set()
    admission = Admission(num_prompt_tokens=1, max_tokens=1)
    assert [worker.next() for _ in range(4)] == [
        Admitted(request_id=1, admission=admission),
        Tokenized(call_id=2, token_ids=[3]),
        Admitted(request_id=3, admission=admission),
        Detokenized(call_id=4, text="[7]"),
    ]
    report(worker)
    assert worker.added() == [1, 3]


def test_a_request_that_is_aborted_while_it_is_prepared_never_reaches_the_engine(worker: Worker) -> None:
    worker.ask(1, "slow")
    worker.ask(2, "waits")
    assert worker.inputs.begun.wait(TIMEOUT_S)
    worker.preparing.withdraw(1)
    worker.preparing.withdraw(2)
    worker.ask(3, "stays")
    worker.inputs.go.set()
    admitted = [worker.next(), worker.next()]
    assert [message.request_id for message in admitted if isinstance(message, Admitted)] == [1, 3]
    report(worker)
    assert worker.added() == [3]


def test_a_call_that_is_given_up_in_the_queue_is_not_answered(worker: Worker) -> None:
    worker.ask(1, "slow")
    worker.preparing.take(Detokenize(call_id=2, token_ids=[7]))
    worker.preparing.withdraw(2)
    worker.inputs.go.set()
    assert isinstance(worker.next(), Admitted)
    report(worker)


def test_a_mistake_and_a_bug_end_what_they_are_in_and_nothing_else(worker: Worker) -> None:
    for request_id, text, error in ((1, "bad", InvalidRequestError), (2, "broken", EngineRequestError)):
        worker.ask(request_id, text)
        failed = worker.next()
        assert isinstance(failed, RequestFailed)
        assert (failed.request_id, type(failed.error.rebuild())) == (request_id, error)
        worker.preparing.take(Tokenize(call_id=request_id + 10, prompt=TextPrompt(text=text), add_special_tokens=True))
        call_failed = worker.next()
        assert isinstance(call_failed, CallFailed)
        assert (call_failed.call_id, type(call_failed.error.rebuild())) == (request_id + 10, error)
    report(worker)
    assert worker.added() == []


def test_calls_do_not_take_the_places_of_requests_nor_the_other_way_round() -> None:
    worker = Worker(max_queued_requests=1)
    worker.ask(1, "slow")
    worker.preparing.take(Detokenize(call_id=2, token_ids=[]))
    assert worker.inputs.begun.wait(TIMEOUT_S)
    worker.ask(3, "one too many")
    worker.preparing.take(Detokenize(call_id=4, token_ids=[]))
    refused, call_refused = worker.next(), worker.next()
    assert isinstance(refused, RequestFailed)
    assert isinstance(call_refused, CallFailed)
    assert (refused.request_id, call_refused.call_id) == (3, 4)
    assert type(refused.error.rebuild()) is type(call_refused.error.rebuild()) is QueueFullError
    worker.inputs.go.set()
    assert isinstance(worker.next(), Admitted)
    assert worker.next() == Detokenized(call_id=2, text="[]")


def test_a_request_of_another_caller_is_taken_when_one_has_filled_the_queue() -> None:
    worker = Worker(max_queued_requests=1)
    worker.ask(1, "slow", Caller(id="greedy"))
    worker.ask(2, "one too many", Caller(id="greedy"))
    refused = worker.next()
    assert isinstance(refused, RequestFailed)
    assert refused.request_id == 2
    worker.ask(3, "of another", Caller(id="modest"))
    worker.inputs.go.set()
    admitted = [worker.next(), worker.next()]
    assert [message.request_id for message in admitted if isinstance(message, Admitted)] == [1, 3]


def test_texts_of_another_caller_are_prepared_between_those_of_one_that_sent_many() -> None:
    worker = Worker()
    greedy, modest = Caller(id="greedy"), Caller(id="modest")
    worker.ask(1, "slow", greedy)
    assert worker.inputs.begun.wait(TIMEOUT_S)
    for request_id in range(2, 50):
        worker.ask(request_id, "waits", greedy)
    worker.ask(50, "m", modest)
    worker.preparing.take(Tokenize(call_id=51, prompt=TextPrompt(text="abc"), add_special_tokens=True, caller=modest))
    worker.inputs.go.set()
    answered = [worker.next() for _ in range(3)]
    assert [each.request_id for each in answered if isinstance(each, Admitted)] == [1, 50]
    assert answered[2] == Tokenized(call_id=51, token_ids=[3])


def test_calls_of_one_caller_do_not_take_the_places_of_another() -> None:
    worker = Worker(max_queued_requests=1)
    worker.ask(1, "slow")
    assert worker.inputs.begun.wait(TIMEOUT_S)
    for call_id, caller in ((2, "greedy"), (3, "greedy"), (4, "modest")):
        worker.preparing.take(Detokenize(call_id=call_id, token_ids=[7], caller=Caller(id=caller)))
    refused = worker.next()
    assert isinstance(refused, CallFailed)
    assert refused.call_id == 3
    worker.inputs.go.set()
    assert isinstance(worker.next(), Admitted)
    answered = [worker.next(), worker.next()]
    assert {each.call_id for each in answered if isinstance(each, Detokenized)} == {2, 4}
