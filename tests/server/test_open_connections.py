"""How many connections there may be, and whose."""

import logging

import pytest

from hostler.config import Settings
from hostler.errors import RateLimitError
from hostler.server.open_connections import MAX_REFUSALS, OpenConnections


def connections(max_all: int = 100, max_per_address: int = 100, proxies: list[str] | None = None) -> OpenConnections:
    settings = Settings(
        max_connections=max_all, max_connections_per_address=max_per_address, forwarded_allow_ips=proxies or []
    )
    return OpenConnections(settings)


def test_there_are_no_more_than_may_be_and_each_that_closes_makes_room() -> None:
    open_connections = connections(max_all=2)
    open_connections.enter("10.0.0.1")
    open_connections.enter("10.0.0.2")
    with pytest.raises(RateLimitError, match=r"2 connections are open, .*\(max_connections\)") as refused:
        open_connections.enter("10.0.0.3")
    assert refused.value.retry_after_s
    open_connections.leave("10.0.0.1")
    open_connections.enter("10.0.0.3")
    assert open_connections.num_open == 2


def test_one_address_leaves_room_for_others() -> None:
    open_connections = connections(max_per_address=1)
    open_connections.enter("10.0.0.1")
    with pytest.raises(RateLimitError, match=r"from 10\.0\.0\.1, .*\(max_connections_per_address\)"):
        open_connections.enter("10.0.0.1")
    open_connections.enter("10.0.0.2")


def test_who_has_one_address_of_an_ipv6_network_has_them_all() -> None:
    open_connections = connections(max_per_address=1)
    open_connections.enter("2001:db8::1")
    with pytest.raises(RateLimitError):
        open_connections.enter("2001:db8::2")
    open_connections.enter("2001:db8:0:1::1")


@pytest.mark.parametrize(
    ("host", "proxies"), [("10.0.0.1", ["10.0.0.0/8"]), ("10.0.0.1", ["*"]), ("fd00::1", ["fd00::1"]), ("", [])]
)
def test_proxies_stand_for_many(host: str, proxies: list[str]) -> None:
    open_connections = connections(max_per_address=1, max_all=3, proxies=proxies)
    for _ in range(3):
        open_connections.enter(host)
    with pytest.raises(RateLimitError):
        open_connections.enter(host)


def test_no_more_are_kept_to_be_told_than_a_few() -> None:
    open_connections = connections()
    assert all(open_connections.begin_refusal() for _ in range(MAX_REFUSALS))
    assert not open_connections.begin_refusal()
    open_connections.end_refusal()
    assert open_connections.begin_refusal()


def test_many_refusals_are_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = (0.0, 1.0, 59.0, 61.0)
    open_connections = OpenConnections(Settings(max_connections=1), clock=iter(times).__next__)
    open_connections.enter("10.0.0.1")
    with caplog.at_level(logging.WARNING):
        for _ in times:
            with pytest.raises(RateLimitError):
                open_connections.enter("10.0.0.1")
    assert [record.message.split()[0] for record in caplog.records] == ["connections_refused"] * 2
