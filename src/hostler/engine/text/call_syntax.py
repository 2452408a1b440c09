"""How families of models write calls of tools, found from what their chat templates say."""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

_CHARS = string.ascii_letters + string.digits
_MISTRAL_ID_CHARS = 9


@dataclass(frozen=True)
class CallSyntax:
    """What is around the name and the arguments of a call. Its JSON has the keys `name` and `arguments`."""

    opener: str = ""
    """Text or special token that begins a call, or a list of calls; "": none is needed."""
    closer: str = ""
    """What ends one."""
    is_bare: bool = False
    """An object that begins a line is a call, if it names a tool."""
    arguments_key: str = "arguments"
    is_list: bool = False
    """Calls are written as a list."""
    name_end: str = ""
    """The name stands before this, and the arguments after it; "": both are in one object."""
    separator: str = "\n"
    """What the model writes between two calls."""
    has_short_ids: bool = False
    """The template refuses ids of calls that are not nine letters and digits."""

    @property
    def marks(self) -> frozenset[str]:
        """What may be special tokens, and is read all the same."""
        return frozenset({self.opener, self.closer, self.name_end, *(("[CALL_ID]",) if self.name_end else ())} - {""})

    def new_id(self) -> str:
        if self.has_short_ids:
            return "".join(secrets.choice(_CHARS) for _ in range(_MISTRAL_ID_CHARS))
        return f"call_{uuid4().hex[:24]}"


JSON = CallSyntax(is_bare=True)
"""A line of JSON: what a model is asked for whose template knows no tools."""
HERMES = CallSyntax(opener="<tool_call>", closer="</tool_call>")
"""Also Qwen's."""
LLAMA = CallSyntax(opener="<|python_tag|>", is_bare=True, arguments_key="parameters", separator="; ")
MISTRAL = CallSyntax(opener="[TOOL_CALLS]", is_list=True, separator=", ", has_short_ids=True)
MISTRAL_NAMED = CallSyntax(opener="[TOOL_CALLS]", name_end="[ARGS]", separator="", has_short_ids=True)
"""Since its eleventh tokenizer."""

_FOUND_BY: tuple[tuple[Callable[[str], bool], CallSyntax], ...] = (
    (lambda template: "[TOOL_CALLS]" in template and "[ARGS]" in template, MISTRAL_NAMED),
    (lambda template: "[TOOL_CALLS]" in template, MISTRAL),
    (lambda template: "<tool_call>" in template and "<function=" not in template, HERMES),
    (lambda template: "<|python_tag|>" in template or '"parameters": dict' in template, LLAMA),
)


def syntax_of(template: str) -> CallSyntax:
    """That of the family whose marks a chat template writes; JSON where it has none of them."""
    return next((syntax for is_found, syntax in _FOUND_BY if is_found(template)), JSON)
