"""Where a server listens, and what it says of itself. How it ends is shown end to end."""

import socket

import pytest

from hostler import runtime
from hostler.errors import ServiceError


def test_port_0_is_one_that_the_system_chose() -> None:
    with runtime.listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_localhost_is_listened_on_by_its_ipv4_address() -> None:
    with runtime.listen("localhost", 0) as listener:
        assert listener.family is socket.AF_INET


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_of_another_machine_is_refused_with_what_to_set(host: str) -> None:
    with pytest.raises(ServiceError, match=f"cannot listen on {host} port 8000 .*HOST and PORT"):
        runtime.listen(host, 8000)
