"""A Dockerfile as its instructions, as far as those of this repository go."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """From one FROM to the next."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)
    """Each with its arguments on one line."""

    def of(self, kind: str) -> list[str]:
        return [arguments for each, arguments in self.instructions if each == kind]

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for arguments in self.of("ENV") for pair in shlex.split(arguments))

    @property
    def arguments(self) -> dict[str, str]:
        """Of the build, with their defaults."""
        return dict(argument.split("=", 1) for argument in self.of("ARG"))


def read_dockerfile(path: Path) -> list[Stage]:
    """Its stages; arguments before the first one are filled in."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    stages: list[Stage] = []
    before: dict[str, str] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        kind, _, arguments = line.strip().partition(" ")
        if kind == "FROM":
            image = arguments.split(" AS ")[0]
            stages.append(Stage(re.sub(r"\$\{(\w+)\}", lambda found: before[found[1]], image)))
        elif kind and stages:
            stages[-1].instructions.append((kind, arguments))
        elif kind:
            name, _, value = arguments.partition("=")
            before[name] = value
    return stages
