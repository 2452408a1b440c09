"""Requests that are sent, and sent again where that is safe."""

import contextlib
import logging
import random
from collections.abc import AsyncIterator

import httpx2

from hostler.client import calls
from hostler.client.answers import read_answer
from hostler.client.calls import Answer, Call
from hostler.client.concurrency import sleep_async
from hostler.client.connection import ServerConnectionError, connection_errors, is_verified, raise_for_error, timeouts
from hostler.client.retries import Failure, Retries
from hostler.errors import HostlerError

logger = logging.getLogger(__name__)


class AsyncTransport:
    """One server's address and key, and the connections to it."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        retries: Retries,
        transport: httpx2.AsyncBaseTransport | None,
    ) -> None:
        """`transport` takes the place of the network."""
        self.base_url = base_url
        self._retries = retries
        with connection_errors(base_url):
            self._http = httpx2.AsyncClient(
                base_url=base_url,
                headers=calls.headers(api_key),
                timeout=timeouts(timeout_s),
                transport=transport,
                verify=is_verified(base_url),
            )

    async def send(self, call: Call[Answer]) -> Answer:
        """
        Raises:
            HostlerError: what the server reports.
            ServerConnectionError: there is no answer.
        """
        num_retries = 0
        while True:
            try:
                with connection_errors(self.base_url):
                    response = await self._http.request(call.method, call.path, json=call.body)
                raise_for_error(response)
            except (HostlerError, ServerConnectionError) as failure:
                await self._wait_or_raise(failure, num_retries)
                num_retries += 1
            else:
                return read_answer(response.content, call.answer_type)

    @contextlib.asynccontextmanager
    async def open(self, call: Call[Answer]) -> AsyncIterator[httpx2.Response]:
        """A response whose body is still to come. What happens to it afterwards is never repeated.

        Raises:
            HostlerError: what the server reports.
            ServerConnectionError: there is no answer, or no more of it.
        """
        num_retries = 0
        while True:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    response = await self._begin(call, stack)
                except (HostlerError, ServerConnectionError) as failure:
                    await self._wait_or_raise(failure, num_retries)
                    num_retries += 1
                    continue
                with connection_errors(self.base_url):
                    yield response
                return

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _begin(self, call: Call[Answer], stack: contextlib.AsyncExitStack) -> httpx2.Response:
        with connection_errors(self.base_url):
            response = await stack.enter_async_context(self._http.stream(call.method, call.path, json=call.body))
            if response.is_error:
                await response.aread()
        raise_for_error(response)
        return response

    async def _wait_or_raise(self, failure: Failure, num_retries: int) -> None:
        draw = random.random()  # noqa: S311 - nobody is kept out by it
        wait_s = self._retries.wait_s(failure, num_retries, draw)
        if wait_s is None:
            raise failure
        logger.info("request_repeated in_s=%.1f error=%r", wait_s, str(failure))
        await sleep_async(wait_s)
