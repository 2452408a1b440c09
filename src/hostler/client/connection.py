"""The border to httpx2: its errors become ours.

    ConnectionError
    └── ServerConnectionError        no answer is to be had
        ├── ServerUnreachableError   nothing listens there, or the name is unknown; nothing was sent
        └── ServerTimeoutError       the client's `timeout_s` passed without a sign of life

What the server itself reports is a `hostler.errors.HostlerError`.
"""

import contextlib
from collections.abc import Iterator

import httpx2

from hostler.client.answers import read_error
from hostler.errors import ConfigError

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_S = 600.0
"""Between two pieces of an answer; a model may have to be downloaded and loaded first."""
CONNECT_TIMEOUT_S = 5.0


class ServerConnectionError(ConnectionError):
    """The server could not be reached, or the connection to it broke; no answer is to be had."""


class ServerUnreachableError(ServerConnectionError):
    """There is no connection to the server, so it has not seen the request."""


class ServerTimeoutError(ServerConnectionError, TimeoutError):
    """The server took longer than the client's `timeout_s`; whether it did what was asked is not known."""


def timeouts(timeout_s: float) -> httpx2.Timeout:
    return httpx2.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S))


def is_verified(base_url: str) -> bool:
    """Whether the server has a certificate. Reading those that it may be signed with takes longer than all else that a
    client does before its first request, so it is not done for nothing; redirects are not followed."""
    return not base_url.lower().startswith("http://")


@contextlib.contextmanager
def connection_errors(base_url: str) -> Iterator[None]:
    """Translate what can happen to a connection."""
    try:
        yield
    except httpx2.ConnectError as exc:
        raise ServerUnreachableError(f"no server answers at {base_url}: start it with 'hostler serve'") from exc
    except httpx2.ConnectTimeout as exc:
        raise ServerTimeoutError(f"no server answers at {base_url} in time: is the address right?") from exc
    except httpx2.TimeoutException as exc:
        raise ServerTimeoutError(f"{base_url} took longer than the client's timeout_s to answer") from exc
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
        raise ConfigError(f"{base_url} is no address of a server: use http://host:port") from exc
    except httpx2.TransportError as exc:
        raise ServerConnectionError(f"the connection to {base_url} broke: {exc or type(exc).__name__}") from exc


def raise_for_error(response: httpx2.Response) -> None:
    """Raise the error of an answer whose body has been read; its cause has the `response`."""
    try:
        response.raise_for_status()
    except httpx2.HTTPStatusError as exc:
        raise read_error(response.status_code, response.content, response.headers) from exc
