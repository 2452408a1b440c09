"""Ends a text where the caller said."""


class StopStrings:
    """Ends a text at the first stop string, which may be spread over pieces, and lets out no part of it."""

    def __init__(self, stop: list[str]) -> None:
        self._stop = [string for string in stop if string]
        self._held = ""
        self.matched: str | None = None
        """The one that has ended the text."""

    def add(self, text: str) -> tuple[str, bool]:
        """Text that may go out, and whether a stop string has ended it."""
        if not self._stop:
            return text, False
        text = self._held + text
        ends = [(end, string) for string in self._stop if (end := text.find(string)) >= 0]
        if ends:
            self._held = ""
            end, self.matched = min(ends)
            return text[:end], True
        num_held = max(_overlap(text, string) for string in self._stop)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held], False

    def flush(self) -> str:
        """What was held back and turned out to begin no stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """Length of the longest end of `text` with which `string` begins."""
    for length in range(min(len(text), len(string) - 1), 0, -1):
        if text.endswith(string[:length]):
            return length
    return 0
