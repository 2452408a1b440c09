"""Where a JSON object ends in a text that is still being written."""


class JsonSpan:
    """Counts braces outside of strings; does not ask whether what is between them is JSON."""

    def __init__(self, depth: int = 0) -> None:
        """`depth`: objects and lists that are open where the text begins."""
        self._depth = depth
        self._is_string = False
        self._is_escaped = False

    def feed(self, text: str) -> int | None:
        """Where in this text, which follows the last one, the outermost object ends; `None`: not in it."""
        for i, char in enumerate(text):
            if self._is_escaped:
                self._is_escaped = False
            elif self._is_string:
                self._is_escaped = char == "\\"
                self._is_string = char != '"'
            elif char == '"':
                self._is_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return i + 1
        return None
