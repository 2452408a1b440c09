"""Settles futures that may have been settled or cancelled before."""

import asyncio
from typing import TypeVar

from hostler.errors import HostlerError

Result = TypeVar("Result")


def resolve(future: asyncio.Future[Result], value: Result) -> None:
    if not future.done():
        future.set_result(value)


def refuse(future: asyncio.Future[Result], error: HostlerError) -> None:
    if not future.done():
        future.set_exception(error)
        # An error that nobody is left to hear is no event worth a log line.
        future.exception()
