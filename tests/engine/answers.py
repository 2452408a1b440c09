"""What comes of an answer that is read in pieces."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from hostler.engine.text.parsed import AnswerParser, Parsed
from hostler.types import TokenDelta


@dataclass
class Read:
    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of each."""
    ids: list[str] = field(default_factory=list, compare=False)

    def add(self, new: Parsed | TokenDelta) -> None:
        self.text += new.text
        self.reasoning += new.reasoning
        for delta in new.tool_calls:
            if delta.index == len(self.calls):
                assert delta.id
                assert delta.name
                self.calls.append((delta.name, delta.arguments))
                self.ids.append(delta.id)
            else:
                assert delta.index == len(self.calls) - 1, "a call goes on after the next has begun"
                assert not delta.id
                assert not delta.name
                name, arguments = self.calls[-1]
                self.calls[-1] = name, arguments + delta.arguments


def read(parser: AnswerParser, pieces: Iterable[str]) -> Read:
    """All of an answer, or what comes of it until it is over."""
    whole = Read()
    for piece in pieces:
        whole.add(parser.add(piece))
        if parser.is_over:
            return whole
    whole.add(parser.flush())
    return whole


def cut(text: str) -> st.SearchStrategy[list[str]]:
    """Pieces that a text is cut into."""
    places = st.sets(st.integers(0, len(text)), max_size=12).map(sorted)
    return places.map(lambda ends: [text[i:j] for i, j in zip([0, *ends], [*ends, len(text)], strict=True)])
