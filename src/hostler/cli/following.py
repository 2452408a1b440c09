"""`hostler events`: what happens at a server, also after the connection to it broke."""

from collections.abc import Callable, Iterator
from time import sleep

from hostler.cli.servers import AWAY
from hostler.client import EventStream, ServerUnreachableError
from hostler.errors import ServiceError
from hostler.protocol.stable_answers import ModelEvent

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


def follow(
    connect: Callable[[int], EventStream],
    on_loss: Callable[[str], None],
) -> Iterator[ModelEvent]:
    """All events without end, none twice and none left out. A server that is not there at first is an error; one that
    goes away is waited for.

    `connect` is given the number of the last event that was seen. `on_loss`: told that it tries again.
    """
    last = 0
    is_first = True
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            with connect(last) as stream:
                for event in stream:
                    pause_s = FIRST_PAUSE_S
                    last = event["number"] or last
                    yield event
            problem = "the server has ended the stream"
        except AWAY as exc:
            if is_first and isinstance(exc, ServerUnreachableError | ServiceError):
                raise
            problem = str(exc)
        is_first = False
        on_loss(f"{problem}; trying again in {pause_s:g} s")
        sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
