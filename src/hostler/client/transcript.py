"""What has been said in a conversation, and how it is kept in a file."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from hostler.errors import ConfigError, InvalidRequestError

Turn = dict[str, object]
"""A message as OpenAI spells it."""


@dataclass
class Transcript:
    """The turns of one conversation. All of it may be changed at any time."""

    model: str | None = None
    """Who answers next; `None`: the server's first conversational one."""
    system: str | None = None
    """How the model is to answer."""
    turns: list[Turn] = field(default_factory=list)
    """Without the system's message."""

    @property
    def messages(self) -> list[Turn]:
        """The whole conversation, its system message first."""
        return self.with_system(self.turns)

    def with_system(self, turns: list[Turn]) -> list[Turn]:
        return turns if self.system is None else [{"role": "system", "content": self.system}, *turns]

    def up_to_last_message(self) -> list[Turn]:
        """The turns, without what was answered to the last message.

        Raises:
            InvalidRequestError: nothing has been asked.
        """
        last = next((i for i in reversed(range(len(self.turns))) if self.turns[i]["role"] == "user"), None)
        if last is None:
            raise InvalidRequestError("nothing has been asked yet")
        return self.turns[: last + 1]

    def save(self, path: str | Path) -> None:
        """Write it as JSON, `{"model", "messages"}`.

        Raises:
            OSError: the file cannot be written.
        """
        content = json.dumps({"model": self.model, "messages": self.messages}, indent=2, ensure_ascii=False)
        Path(path).expanduser().write_text(content + "\n", encoding="utf-8")

    def restore(self, path: str | Path) -> None:
        """Go on with what `save` wrote, in place of what was said.

        Raises:
            OSError: the file cannot be read.
            ConfigError: it holds something else.
        """
        try:
            content = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
            messages = [_checked(message) for message in content["messages"]]
            model = content.get("model")
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise ConfigError(
                f'{path} is no conversation: {{"model": …, "messages": [{{"role": …, "content": …}}]}} is expected'
            ) from exc
        has_system = bool(messages) and messages[0]["role"] == "system"
        self.model = model if isinstance(model, str) else None
        self.system = str(messages[0]["content"]) if has_system else None
        self.turns = messages[has_system:]


def _checked(message: Turn) -> Turn:
    if not isinstance(message["role"], str):
        raise TypeError
    return {**message}
