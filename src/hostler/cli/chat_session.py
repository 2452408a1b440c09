"""A conversation with a model that is typed in; knows nothing of terminals."""

from collections.abc import Callable, Iterator

from hostler.client import Conversation, Hostler, SpokenStream
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
/load FILE    go on with one that was saved
/quit         leave, as does Ctrl-D; Ctrl-C stops an answer"""


class ChatSession:
    """What has been said, and what becomes of a line that somebody types."""

    def __init__(self, server: Hostler, conversation: Conversation, on_wait: OnWait | None = None) -> None:
        """`on_wait`: told what an answer waits for."""
        self.server = server
        self.conversation = conversation
        self.is_over = False
        self._on_wait = on_wait
        self._commands: dict[str, Callable[[str], Iterator[str]]] = {
            "model": self._model,
            "models": self._models,
            "system": self._system,
            "retry": self._retry,
            "clear": self._clear,
            "save": self._save,
            "load": self._load,
            "help": self._help,
            "quit": self._quit,
        }

    @property
    def commands(self) -> list[str]:
        """With their slash."""
        return [f"/{command}" for command in self._commands]

    def enter(self, line: str) -> Iterator[str]:
        """What to print for it, as it comes. Whatever ends an answer early, what came of it stays in the conversation.

        Raises:
            HostlerError: the command or the request failed.
            ConnectionError: the server has gone.
        """
        if not line.startswith("/"):
            yield from self.say(line)
            return
        command, _, argument = line[1:].partition(" ")
        if command not in self._commands:
            raise InvalidRequestError(
                f"there is no command /{command}; /help lists them all{did_you_mean(command, self._commands)}"
            )
        yield from self._commands[command](argument.strip())

    def say(self, message: str) -> Iterator[str]:
        """The answer to a message, whatever it begins with."""
        yield from self._pieces(self.conversation.stream(message))

    def _pieces(self, stream: SpokenStream) -> Iterator[str]:
        with stream:
            stream.on_wait = self._on_wait
            for piece in stream:
                yield piece["text"]

    def _model(self, name: str) -> Iterator[str]:
        if name:
            self.conversation.model = self.server.info(name)["model_id"]
        yield self.conversation.model or "the server's first conversational one"

    def _models(self, _: str) -> Iterator[str]:
        yield "\n".join(f"{'*' if row['loaded'] else ' '} {model_id}" for model_id, row in self.server.models().items())

    def _system(self, text: str) -> Iterator[str]:
        self.conversation.system = text or None
        yield "it holds from the next message on" if text else "taken back"

    def _retry(self, _: str) -> Iterator[str]:
        yield from self._pieces(self.conversation.retry_stream())

    def _clear(self, _: str) -> Iterator[str]:
        self.conversation.clear()
        yield "forgotten"

    def _save(self, name: str) -> Iterator[str]:
        if not name:
            raise InvalidRequestError("name the file: /save talk.json")
        try:
            self.conversation.save(name)
        except OSError as exc:
            raise HostlerError(f"{name} could not be written: {exc.strerror}") from exc
        yield f"written to {name}"

    def _load(self, name: str) -> Iterator[str]:
        if not name:
            raise InvalidRequestError("name the file: /load talk.json")
        try:
            self.conversation.load(name)
        except OSError as exc:
            raise HostlerError(f"{name} could not be read: {exc.strerror}") from exc
        yield f"{len(self.conversation.messages)} messages; {self.conversation.model or 'any model'} goes on"

    def _help(self, _: str) -> Iterator[str]:
        yield HELP

    def _quit(self, _: str) -> Iterator[str]:
        self.is_over = True
        yield from ()
