"""A YAML file that remembers on which line each key stands, so that an error can say so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hostler.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the top of a file down to one value."""


@dataclass(frozen=True)
class YamlFile:
    """A parsed file whose top level is a mapping."""

    path: Path
    content: dict[str, Any]
    lines: dict[KeyPath, int]
    """Where each key stands, counted from 1."""

    def error(self, key_path: KeyPath, problem: str) -> ConfigError:
        """An error that names the file, the line and the key; the nearest enclosing key where that one is absent."""
        known = key_path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known, 1)
        key = ".".join(str(part) for part in key_path) or "the file"
        return ConfigError(f"{self.path}, line {line}: {key}: {problem}")


def read_yaml(
    path: Path,
    *,
    remedy: str = "set MODEL_CONFIG_PATH to a registry file, or leave it unset",
    sections: str = "'models:' and 'settings:'",
) -> YamlFile:
    """Read a YAML mapping with the safe loader. `remedy`: for a file that cannot be read; `sections`: what it has.

    Raises:
        ConfigError: the file cannot be read, is no YAML, repeats a key, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}); {remedy}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8 text") from exc
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigError(f"{path}, line {line}: is not valid YAML: {exc.problem}") from exc
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError) as exc:
        # The last ones for a tag, such as `!!bool`, of a value that is no such thing.
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(exc).split())}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path}: is not valid YAML: nested too deeply") from exc
    lines: dict[KeyPath, int] = {}
    if root is not None:
        _collect_lines(root, (), lines, set(), path)
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}, line 1: the top level must be a mapping with {sections}")
    return YamlFile(path, content, lines)


def _collect_lines(node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int], seen: set[int], path: Path) -> None:
    # An alias leads to a node a second time; it may even lead back into the node that it stands in.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key_path = (*at, str(key_node.value))
            line = key_node.start_mark.line + 1
            if key_path in lines:
                raise ConfigError(
                    f"{path}, line {line}: {key_node.value}: stands twice, first on line {lines[key_path]}; remove one"
                )
            lines[key_path] = line
            _collect_lines(value_node, key_path, lines, seen, path)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            lines[(*at, position)] = item.start_mark.line + 1
            _collect_lines(item, (*at, position), lines, seen, path)
