"""How a command that fails says so, and with which exit status."""

import errno
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from hostler.errors import AuthenticationError, ConfigError, HostlerError

EXIT_FAILED = 1
"""The server, the hub or this machine refused, or could not."""
EXIT_MISCONFIGURED = 2
"""The command line, a variable or the registry file says what cannot be used."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, as shells count it: 128 and the number of the signal."""
EXIT_CLOSED_PIPE = 141
"""Whoever read the output has left."""

Parameters = ParamSpec("Parameters")


def reports_errors(command: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Let a command end with one line on stderr and a status instead of a traceback."""

    @wraps(command)
    def reporting(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except BrokenPipeError as exc:
            _forget_output()
            raise typer.Exit(EXIT_CLOSED_PIPE) from exc
        except KeyboardInterrupt as exc:
            typer.echo("\nhostler: stopped", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from exc
        except (HostlerError, OSError) as exc:
            typer.echo(f"hostler: {sentence(exc)}", err=True)
            raise typer.Exit(EXIT_MISCONFIGURED if isinstance(exc, ConfigError) else EXIT_FAILED) from exc

    return reporting


def sentence(error: HostlerError | OSError) -> str:
    """What happened and what to do, as somebody at a terminal does it: messages of a server are for programs."""
    if isinstance(error, AuthenticationError):
        problem = error.message.partition(";")[0]
        return f"{problem}: put the server's key into HOSTLER_API_KEY, or give it with --api-key"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"there is no room left to write {error.filename or 'the output'}: make some, then run this again"
    return str(error).replace("(GET /models lists all)", "('hostler models' lists all)")


def _forget_output() -> None:
    """Keep the interpreter from writing the rest of it when it ends, and from complaining that it cannot."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # no file of the system's, such as in a test
        return
