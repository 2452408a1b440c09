"""The registry file, the address, and who may come in."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

from hostler.catalogue import read_catalogue
from hostler.config import Settings, is_loopback
from hostler.diagnosis.findings import Finding, problem, warning
from hostler.errors import ConfigError, ServiceError
from hostler.registry import Registry
from hostler.runtime import listen

_SHORT_KEY_CHARS = 16
_ASK_TIMEOUT_S = 2.0


def check_configuration(path: Path) -> tuple[list[Finding], tuple[Settings, Registry] | None]:
    """Read file and environment as a server would; `None`: they cannot be used at all."""
    findings = []
    try:
        settings, registry = read_catalogue(path)
    except ConfigError as refused:
        findings.append(_of_error(refused))
        try:
            # An address without a key is one mistake; there may be more to say.
            settings, registry = read_catalogue(path, {"insecure_no_auth": True})
        except ConfigError:
            return findings, None
    findings.append(Finding(topic="registry", text=f"{path}, {len(registry)} models"))
    return findings, (settings, registry)


def _of_error(error: ConfigError) -> Finding:
    text, separator, remedy = error.message.partition(": set ")
    if separator:
        return problem("configuration", f"{text}.", f"Set {remedy}.")
    return problem("configuration", f"{error.message}.", "Correct it.")


def check_access(settings: Settings) -> Iterator[Finding]:
    has_key = settings.api_key is not None or settings.keys_file.exists()
    is_open = not is_loopback(settings.host)
    where = f"{settings.host} can be reached from elsewhere" if is_open else f"{settings.host} is this machine alone"
    yield Finding(topic="access", text=f"{where}; a key is {'needed' if has_key else 'not needed'}")
    if settings.api_key is not None and len(settings.api_key.get_secret_value()) < _SHORT_KEY_CHARS:
        yield warning(
            "access",
            f"API_KEY has fewer than {_SHORT_KEY_CHARS} characters, which can be guessed.",
            "Make a key with 'hostler keys create', or set a longer one.",
        )
    if settings.insecure_no_auth and is_open and not has_key:
        yield warning(
            "access",
            f"Whoever reaches {settings.host} may use, load and unload models.",
            "Make a key with 'hostler keys create', and leave INSECURE_NO_AUTH away.",
        )
    if "*" in settings.cors_origins:
        yield warning(
            "access", "Pages of any site may call the server from a browser.", "Name the origins in cors_origins."
        )
    if settings.trust_remote_code:
        yield warning(
            "access",
            "trust_remote_code lets every model run Python of its own.",
            "Set it for the models that need it, and for no other.",
        )


def check_port(host: str, port: int) -> Iterator[Finding]:
    try:
        listen(host, port).close()
    except ServiceError as exc:
        if _is_hostler(host, port):
            yield Finding(topic="port", text=f"a Hostler answers at {host} port {port}")
            return
        text, _, remedy = exc.message.partition(": ")
        yield problem("port", f"{text[:1].upper()}{text[1:]}.", f"{remedy[:1].upper()}{remedy[1:]}.")
    else:
        yield Finding(topic="port", text=f"{port} of {host} is free" if port else "any that is free")


def _is_hostler(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=_ASK_TIMEOUT_S)
    try:
        connection.request("GET", "/health/live")
        answer = json.loads(connection.getresponse().read(1000))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("status") == "alive"
