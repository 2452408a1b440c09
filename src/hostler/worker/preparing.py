"""What is done with text before the engine computes, in a thread of its own, whose time callers share."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from hostler.engine.factory import Engine
from hostler.engine.pooling.factory import PoolingEngine
from hostler.engine.pooling.input_processor import PoolingPreparation
from hostler.errors import EngineRequestError, HostlerError, InvalidRequestError
from hostler.worker.admission import AdmissionControl
from hostler.worker.caller_turns import CallerTurns
from hostler.worker.messages import (
    Admitted,
    CallFailed,
    Detokenize,
    Detokenized,
    ErrorReport,
    FromWorker,
    Generate,
    Pool,
    ReportTokenizer,
    RequestFailed,
    TextCall,
    Tokenize,
    Tokenized,
    TokenizerReport,
)

logger = logging.getLogger(__name__)

Action = Callable[[], None]
Message = Generate | Pool | TextCall


class Preparing:
    """Renders, tokenises and checks. The reader hands over and withdraws, so that it never waits for a text."""

    def __init__(
        self,
        engine: Engine | PoolingEngine,
        max_queued_requests: int,
        send: Callable[[FromWorker], None],
        before_next_step: Callable[[Action], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`before_next_step` has the thread that computes do something, in the order of the calls."""
        self.admissions = AdmissionControl(max_queued_requests)
        """Requests that the engine has not begun; whoever computes or aborts tells it."""
        self._calls = AdmissionControl(max_queued_requests)
        self._engine = engine
        self._send = send
        self._before_next_step = before_next_step
        self._clock = clock
        self._queue: CallerTurns[Message] = CallerTurns()
        self._begun: dict[int, PoolingPreparation] = {}
        """By call id, what is prepared in several turns; of the preparing thread alone."""
        self._lock = threading.Lock()
        self._pending: set[int] = set()
        """Ids of what is in the queue or being worked on, and still wanted."""

    def take(self, message: Message) -> None:
        """Queue a request or call; called by the reader. One too many is refused at once."""
        try:
            if isinstance(message, Generate | Pool):
                self.admissions.enter(_id_of(message), message.caller)
            else:
                self._calls.enter(_id_of(message), message.caller)
        except HostlerError as exc:
            self._refuse(message, exc)
            return
        with self._lock:
            self._pending.add(_id_of(message))
        self._queue.put(message.caller, message)

    def withdraw(self, message_id: int) -> None:
        """Drop a request or call that has not gone on to the engine; called by the reader. Others are left alone."""
        with self._lock:
            self._pending.discard(message_id)

    def run(self) -> NoReturn:
        """The preparing thread."""
        while True:
            message = self._queue.get()
            message_id = _id_of(message)
            begun_at = self._clock()
            is_done = message_id not in self._pending or self._prepare(message)
            self._queue.charge(message.caller, self._clock() - begun_at)
            if not is_done:
                self._queue.put(message.caller, message)
                continue
            self._begun.pop(message_id, None)
            with self._lock:
                self._pending.discard(message_id)
            self._calls.leave([message_id])

    def _prepare(self, message: Message) -> bool:
        """Whether that is all; else it is to be called again, when others have had their turns."""
        try:
            if isinstance(message, Pool):
                return self._advance(message)
            if isinstance(message, Generate):
                self._admit(message)
            else:
                self._send(self._answer(message))
        except HostlerError as exc:
            self._refuse(message, exc)
        except Exception:
            logger.exception("text_not_prepared message_id=%d", _id_of(message))
            self._refuse(message, EngineRequestError("the text could not be prepared for this model"))
        return True

    def _advance(self, message: Pool) -> bool:
        """A large request is prepared in pieces, so that small ones get in between."""
        engine, call_id = self._engine, message.call_id
        if not isinstance(engine, PoolingEngine):
            raise InvalidRequestError("this model writes text, and makes neither vectors nor scores", param="model")
        if call_id not in self._begun:
            self._begun[call_id] = engine.inputs.begin(call_id, message.inputs, message.params, message.caller)
        preparation = self._begun[call_id]
        if not preparation.advance():
            return False
        with self._lock:
            if call_id in self._pending:
                self._before_next_step(lambda: engine.core.add_request(preparation.request))
        return True

    def _admit(self, message: Generate) -> None:
        engine, request_id = self._engine, message.request_id
        if not isinstance(engine, Engine):
            raise InvalidRequestError("this model reads texts and writes none", param="model")
        prepared = engine.inputs.prepare(request_id, message.prompt, message.params, priority=message.priority)
        for sequence in prepared.sequences:
            sequence.caller = message.caller
        self._send(Admitted(request_id=request_id, admission=prepared.admission))
        # Under the lock: an abort that comes now is either seen here or follows the request to the engine.
        with self._lock:
            if request_id in self._pending:
                self._before_next_step(lambda: engine.core.add_request(prepared.sequences))

    def _answer(self, message: TextCall) -> FromWorker:
        inputs = self._engine.inputs
        match message:
            case Tokenize(call_id=call_id):
                token_ids = inputs.tokenize(message.prompt, add_special_tokens=message.add_special_tokens)
                return Tokenized(call_id=call_id, token_ids=token_ids)
            case Detokenize(call_id=call_id):
                return Detokenized(call_id=call_id, text=inputs.detokenize(message.token_ids))
            case ReportTokenizer(call_id=call_id):
                return TokenizerReport(call_id=call_id, facts=inputs.tokenizer_facts())

    def _refuse(self, message: Message, error: HostlerError) -> None:
        report = ErrorReport.of(error)
        if isinstance(message, Generate | Pool):
            self.admissions.leave([_id_of(message)])
        if isinstance(message, Generate):
            self._send(RequestFailed(request_id=message.request_id, error=report))
        else:
            self._send(CallFailed(call_id=message.call_id, error=report))


def _id_of(message: Message) -> int:
    return message.request_id if isinstance(message, Generate) else message.call_id
