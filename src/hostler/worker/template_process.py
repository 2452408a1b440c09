"""Renders chat templates in a process of their own, which the kernel ends when one takes too much.

A template is code of a model's repository. The sandbox bounds what it may touch, not what it may take: `10 ** 10 ** 10`
or `'x' * 10 ** 10` is one operation, with the interpreter's lock held, and no thread of the worker could end it.

A process with threads cannot be forked safely, nor cheaply once it holds a model. So each worker forks a *keeper*
before it does anything else, and the keeper forks a *renderer* when it is asked for one: while the model is loaded, and
after the death of the last renderer.
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

import psutil

from hostler.engine.text.chat_template import Rendered, TemplateCall, render, takes_too_much
from hostler.errors import HostlerError
from hostler.struct import Struct
from hostler.types import ChatMessage
from hostler.worker.framing import FrameDecoder, encode
from hostler.worker.messages import ErrorReport
from hostler.worker.orphans import end_with

MAX_MEMORY_BYTES = 256 * 2**20
"""What a renderer may take beyond what it was forked with; ten times the longest body that is accepted, and more."""
MAX_KEPT_BYTES = 64 * 2**20
"""A renderer that still has more after its answer ends, since an allocator does not give everything back."""
_LEAST_CPU_LIMIT_S = 0.01
"""The timer counts in steps of about four milliseconds, and takes nothing for no limit."""


class Begun(Struct, frozen=True, tag="begun"):
    """From here on, the renderer's death is its template's fault."""


class Done(Struct, frozen=True, tag="done"):
    rendered: Rendered


class Failed(Struct, frozen=True, tag="failed"):
    error: ErrorReport


FromRenderer = Begun | Done | Failed


class TemplateProcess:
    """The worker's side. Used by one thread at a time; both processes end with the worker."""

    def __init__(self, keeper: socket.socket) -> None:
        """Made by `start`."""
        self._keeper = keeper
        self._renderer: socket.socket | None = None

    @classmethod
    def start(cls, not_theirs: socket.socket) -> "TemplateProcess":
        """Fork the keeper. This process must have no other thread, and `not_theirs` is closed in the new one."""
        ours, theirs = socket.socketpair()
        worker_pid = os.getpid()
        if os.fork() == 0:
            not_theirs.close()
            ours.close()
            _keep(theirs, worker_pid)
        theirs.close()
        return cls(ours)

    def get_ready(self, template: str) -> None:
        """Have a renderer that has read a template. What is wrong with it, its first conversation will be told."""
        greeting = [ChatMessage(role="user", content="Hello")]
        call = TemplateCall(
            template=template, special_tokens={}, messages=greeting, add_generation_prompt=True, continue_last=False
        )
        with suppress(HostlerError, RuntimeError):
            self.render(call)

    def render(self, call: TemplateCall) -> Rendered:
        """A `hostler.engine.text.chat_template.Render`, bounded in time and memory."""
        # A renderer may have ended since the last call: by itself, or by a system that was out of memory.
        for _ in range(2):
            renderer = self._renderer = self._renderer or self._new_renderer()
            has_begun = False
            try:
                renderer.sendall(encode(call))
                for message in _messages(renderer):
                    match message:
                        case Begun():
                            has_begun = True
                        case Done(rendered=rendered):
                            return rendered
                        case Failed(error=error):
                            raise error.rebuild()
            except ConnectionError:
                """It has ended, with something unread."""
            renderer.close()
            self._renderer = None
            if has_begun:
                raise takes_too_much()
        raise RuntimeError("two renderers of chat templates in a row ended before they began")

    def _new_renderer(self) -> socket.socket:
        self._keeper.sendall(b".")
        _, descriptors, _, _ = socket.recv_fds(self._keeper, 1, 1)
        if not descriptors:
            raise RuntimeError("no process could be started to render chat templates")
        return socket.socket(fileno=descriptors[0])


def _messages(renderer: socket.socket) -> Iterator[FromRenderer]:
    decoder = FrameDecoder[FromRenderer](FromRenderer)
    while data := renderer.recv(1 << 16):
        yield from decoder.feed(data)


def _keep(worker: socket.socket, worker_pid: int) -> NoReturn:
    """The keeper: for each byte from the worker a renderer, whose socket is the answer, if it can be forked."""
    try:
        end_with(worker_pid)
        # What is here stays; a collection would only write to pages that are shared with the forkserver.
        gc.freeze()
        # Renderers are waited for by nobody.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        keeper_pid = os.getpid()
        while worker.recv(1):
            renderers, workers = socket.socketpair()
            try:
                pid = os.fork()
            except OSError:
                worker.sendall(b".")
                continue
            if pid == 0:
                worker.close()
                workers.close()
                end_with(keeper_pid)
                _serve(renderers)
                os._exit(0)
            renderers.close()
            socket.send_fds(worker, [b"."], [workers.fileno()])
            workers.close()
    finally:
        os._exit(0)


def _serve(worker: socket.socket) -> None:
    """The renderer. Returns when the worker is gone, or when it has more memory than it should keep."""
    this = psutil.Process()
    at_first = this.memory_info()
    if sys.platform == "linux":  # no other system keeps to it
        limit = at_first.vms + MAX_MEMORY_BYTES
        this.rlimit(psutil.RLIMIT_AS, (limit, limit))
    decoder = FrameDecoder[TemplateCall](TemplateCall)
    while data := worker.recv(1 << 16):
        for call in decoder.feed(data):
            worker.sendall(encode(Begun()))
            # It counts this process's own computing, so that a busy machine fails nobody; and what it does when it
            # runs out is the kernel's doing, so that it ends what Python could not interrupt.
            signal.setitimer(signal.ITIMER_PROF, max(call.cpu_limit_s, _LEAST_CPU_LIMIT_S))
            outcome = _outcome(call)
            signal.setitimer(signal.ITIMER_PROF, 0)
            worker.sendall(encode(outcome))
            if this.memory_info().rss > at_first.rss + MAX_KEPT_BYTES:
                return


def _outcome(call: TemplateCall) -> Done | Failed:
    try:
        return Done(rendered=render(call))
    except HostlerError as exc:
        return Failed(error=ErrorReport.of(exc))
