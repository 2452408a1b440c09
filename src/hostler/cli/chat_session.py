"""A conversation with a model that is typed in; knows nothing of terminals."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hostler.client import Hostler, SamplingOptions
from hostler.client.streams import OnWait
from hostler.errors import HostlerError, InvalidRequestError
from hostler.suggestions import did_you_mean

HELP = """\
/model ID     go on with another model; alone, name the present one
/models       list the models
/system TEXT  tell the model how to answer; alone, take that back
/retry        have the last message answered again
/clear        begin anew
/save FILE    write the conversation as JSON
/quit         leave, as does Ctrl-D; Ctrl-C stops an answer"""


@dataclass
class ChatSession:
    """What has been said, and what becomes of a line that somebody types."""

    server: Hostler
    model: str | None
    """`None`: the server's first conversational one."""
    options: SamplingOptions
    system: str | None = None
    on_wait: OnWait | None = None
    turns: list[dict[str, object]] = field(default_factory=list)
    is_over: bool = False

    def enter(self, line: str) -> Iterator[str]:
        """What to print for it, as it comes. Whatever ends an answer early, what came of it stays in the conversation.

        Raises:
            HostlerError: the command or the request failed.
        """
        if not line.startswith("/"):
            yield from self._ask([*self.turns, {"role": "user", "content": line}])
            return
        command, _, argument = line[1:].partition(" ")
        commands = self._commands()
        if command not in commands:
            raise InvalidRequestError(
                f"there is no command /{command}{did_you_mean(command, commands)}; /help lists them all"
            )
        yield from commands[command](argument.strip())

    @property
    def messages(self) -> list[dict[str, object]]:
        """The conversation, its system message first."""
        return self._with_system(self.turns)

    def _commands(self) -> dict[str, Callable[[str], Iterator[str]]]:
        return {
            "model": self._model,
            "models": self._models,
            "system": self._system,
            "retry": self._retry,
            "clear": self._clear,
            "save": self._save,
            "help": self._help,
            "quit": self._quit,
        }

    def _ask(self, turns: list[dict[str, object]]) -> Iterator[str]:
        said = ""
        with self.server.stream_chat(self._with_system(turns), model=self.model, **self.options) as stream:
            stream.on_wait = self.on_wait
            try:
                for piece in stream:
                    said += piece["text"]
                    yield piece["text"]
            finally:
                if said:
                    self.turns = [*turns, {"role": "assistant", "content": said}]

    def _with_system(self, turns: list[dict[str, object]]) -> list[dict[str, object]]:
        return turns if self.system is None else [{"role": "system", "content": self.system}, *turns]

    def _model(self, name: str) -> Iterator[str]:
        if name:
            self.model = self.server.info(name)["model_id"]
        yield self.model or "the server's first conversational one"

    def _models(self, _: str) -> Iterator[str]:
        yield "\n".join(f"{'*' if row['loaded'] else ' '} {model_id}" for model_id, row in self.server.models().items())

    def _system(self, text: str) -> Iterator[str]:
        self.system = text or None
        yield "it holds from the next message on" if text else "taken back"

    def _retry(self, _: str) -> Iterator[str]:
        last = next((i for i in reversed(range(len(self.turns))) if self.turns[i]["role"] == "user"), None)
        if last is None:
            raise InvalidRequestError("nothing has been asked yet")
        yield from self._ask(self.turns[: last + 1])

    def _clear(self, _: str) -> Iterator[str]:
        self.turns = []
        yield "forgotten"

    def _save(self, name: str) -> Iterator[str]:
        if not name:
            raise InvalidRequestError("name the file: /save talk.json")
        path = Path(name).expanduser()
        content = json.dumps({"model": self.model, "messages": self.messages}, indent=2, ensure_ascii=False)
        try:
            path.write_text(content + "\n")
        except OSError as exc:
            raise HostlerError(f"{path} could not be written: {exc.strerror}") from exc
        yield f"written to {path}"

    def _help(self, _: str) -> Iterator[str]:
        yield HELP

    def _quit(self, _: str) -> Iterator[str]:
        self.is_over = True
        yield from ()
