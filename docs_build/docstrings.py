"""Texts that stand under the fields of a class; Python itself forgets them."""

import ast
import inspect
from functools import cache
from textwrap import dedent


@cache
def field_docstrings(cls: type) -> dict[str, str]:
    """By field name, those of base classes included; a field without a text is not there."""
    found: dict[str, str] = {}
    # A TypedDict has its bases here and not in its order of resolution.
    for base in (*getattr(cls, "__orig_bases__", ()), *reversed(cls.__mro__[1:])):
        if getattr(base, "__module__", "").startswith("hostler."):
            found |= field_docstrings(base)
    return found | _own_docstrings(cls)


def _own_docstrings(cls: type) -> dict[str, str]:
    tree = ast.parse(dedent(inspect.getsource(cls))).body[0]
    if not isinstance(tree, ast.ClassDef):
        return {}
    found = {}
    for statement, following in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[statement.target.id] = inspect.cleandoc(text)
    return found


def paragraph(text: str | None) -> str:
    """A docstring's first paragraph, on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())
