"""Who is counted, and served, as one."""

from starlette.requests import Request

from hostler.keys import Key, Scope
from hostler.server.principal import Principal, address_of


def test_addresses_of_one_ipv6_network_are_one() -> None:
    def at(host: str) -> str:
        return address_of(Request({"type": "http", "headers": [], "client": (host, 1)}))

    assert at("2001:db8::1") == at("2001:db8::ffff:2") == "2001:db8::/64"
    assert at("2001:db8:0:1::1") != at("2001:db8::1")
    assert at("::ffff:10.0.0.1") == at("10.0.0.1") == "10.0.0.1"


def test_whoever_calls_by_a_unix_socket_is_one() -> None:
    assert address_of(Request({"type": "http", "headers": [], "client": None})) == "socket"


def test_who_has_a_key_is_the_key_wherever_it_is_used() -> None:
    key = Key(name="alice", digest=b"", scopes=frozenset({Scope.READ}))
    assert Principal("10.0.0.1", key).caller_id == Principal("10.0.0.2", key).caller_id == "key:alice"
    assert Principal("10.0.0.1").caller_id == "address:10.0.0.1"


def test_without_keys_everybody_may_do_everything() -> None:
    anybody = Principal("10.0.0.1")
    assert all(anybody.has(scope) for scope in Scope)
    assert anybody.sees_all_models
