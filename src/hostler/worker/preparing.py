"""What is done with text before the engine computes, in a thread of its own, in the order of arrival."""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import NoReturn

from hostler.engine.factory import Engine
from hostler.errors import EngineRequestError, HostlerError
from hostler.worker.admission import AdmissionControl
from hostler.worker.messages import (
    Admitted,
    CallFailed,
    Detokenize,
    Detokenized,
    ErrorReport,
    FromWorker,
    Generate,
    ReportTokenizer,
    RequestFailed,
    TextCall,
    Tokenize,
    Tokenized,
    TokenizerReport,
)

logger = logging.getLogger(__name__)

Action = Callable[[], None]


class Preparing:
    """Renders, tokenises and checks. The reader hands over and withdraws, so that it never waits for a text."""

    def __init__(
        self,
        engine: Engine,
        max_queued_requests: int,
        send: Callable[[FromWorker], None],
        before_next_step: Callable[[Action], None],
    ) -> None:
        """`before_next_step` has the thread that computes do something, in the order of the calls."""
        self.admissions = AdmissionControl(max_queued_requests)
        """Requests that the engine has not begun; whoever computes or aborts tells it."""
        self._calls = AdmissionControl(max_queued_requests)
        self._engine = engine
        self._send = send
        self._before_next_step = before_next_step
        self._queue: SimpleQueue[Generate | TextCall] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending: set[int] = set()
        """Ids of what is in the queue or being worked on, and still wanted."""

    def take(self, message: Generate | TextCall) -> None:
        """Queue a request or call; called by the reader. One too many is refused at once."""
        try:
            if isinstance(message, Generate):
                self.admissions.enter(message.request_id)
            else:
                self._calls.enter(message.call_id)
        except HostlerError as exc:
            self._refuse(message, exc)
            return
        with self._lock:
            self._pending.add(_id_of(message))
        self._queue.put(message)

    def withdraw(self, message_id: int) -> None:
        """Drop a request or call that has not gone on to the engine; called by the reader. Others are left alone."""
        with self._lock:
            self._pending.discard(message_id)

    def run(self) -> NoReturn:
        """The preparing thread."""
        while True:
            message = self._queue.get()
            message_id = _id_of(message)
            if message_id in self._pending:
                self._prepare(message)
            with self._lock:
                self._pending.discard(message_id)
            self._calls.leave([message_id])

    def _prepare(self, message: Generate | TextCall) -> None:
        try:
            if isinstance(message, Generate):
                self._admit(message)
            else:
                self._send(self._answer(message))
        except HostlerError as exc:
            self._refuse(message, exc)
        except Exception:
            logger.exception("text_not_prepared message_id=%d", _id_of(message))
            self._refuse(message, EngineRequestError("the text could not be prepared for this model"))

    def _admit(self, message: Generate) -> None:
        request_id = message.request_id
        prepared = self._engine.inputs.prepare(request_id, message.prompt, message.params, priority=message.priority)
        self._send(Admitted(request_id=request_id, admission=prepared.admission))
        # Under the lock: an abort that comes now is either seen here or follows the request to the engine.
        with self._lock:
            if request_id in self._pending:
                self._before_next_step(lambda: self._engine.core.add_request(prepared.sequences))

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

    def _refuse(self, message: Generate | TextCall, error: HostlerError) -> None:
        report = ErrorReport.of(error)
        if isinstance(message, Generate):
            self.admissions.leave([message.request_id])
            self._send(RequestFailed(request_id=message.request_id, error=report))
        else:
            self._send(CallFailed(call_id=message.call_id, error=report))


def _id_of(message: Generate | TextCall) -> int:
    return message.request_id if isinstance(message, Generate) else message.call_id
