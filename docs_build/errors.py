"""The page of errors: the tree, and what each class looks like to a client."""

import inspect
import re
from collections.abc import Iterator

from docs_build.docstrings import paragraph
from docs_build.markdown import code, document, table
from hostler import errors
from hostler.client import ServerConnectionError
from hostler.errors import HostlerError
from hostler.server.anthropic_errors import anthropic_body, anthropic_status
from hostler.server.errors import row_for

_LEAD = """
Codes are stable, messages are for people. The bodies, and the headers that say when to try again, are told in
[The HTTP interface](../api.md#errors). The classes are those that `hostler.client` raises; they are imported from
`hostler.errors`.
"""
_AFTER = """
`retry`: the same request may succeed later, without a change. Anthropic's routes have statuses and types of their own;
the code is in their `details.error_code`.
"""


def page() -> str:
    return document(
        "Errors",
        _LEAD,
        "## As a tree",
        f"```text\n{_tree()}\n```",
        "## As a client sees them",
        _AFTER,
        table(["class", "code", "status", "OpenAI's type", "Anthropic's", "retry", "when"], map(_row, classes())),
        "## Without an answer",
        f"`{ServerConnectionError.__module__.rpartition('.')[0]}.{ServerConnectionError.__name__}`:"
        f" {paragraph(inspect.getdoc(ServerConnectionError))}",
    )


def classes() -> Iterator[type[HostlerError]]:
    """Each before its subclasses, in the order of their definition."""

    def below(cls: type[HostlerError]) -> Iterator[type[HostlerError]]:
        yield cls
        for child in cls.__subclasses__():
            if child.__module__ == errors.__name__:
                yield from below(child)

    return below(HostlerError)


def _tree() -> str:
    """As the module draws it."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = [line[4:].rstrip() for line in lines if re.match(r"    (HostlerError|[├└│ ])", line)]
    return "\n".join(drawn)


def _row(cls: type[HostlerError]) -> list[str]:
    row = row_for(cls(""))
    status = anthropic_status(row.status)
    kind = anthropic_body(cls(""), status, "")["error"]["type"]
    return [
        code(cls.__name__),
        code(cls.code),
        str(row.status),
        code(cls.type),
        f"{status} {code(kind)}",
        "yes" if cls.retryable else "",
        paragraph(cls.__doc__),
    ]
