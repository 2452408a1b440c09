"""Finds calls of tools in a text that is still being written."""

import json
from collections.abc import Callable
from typing import Any

import regex

from hostler.engine.text.call_syntax import CallSyntax
from hostler.engine.text.json_span import JsonSpan
from hostler.engine.text.parsed import Parsed
from hostler.tools import ToolCallDelta

Pattern = Any
"""Of `regex`, which says of a text that goes on whether it may still match."""
PENDING = object()
"""Instead of a match: that is not known yet."""

MAX_UNCLOSED = 32
"""Objects that an answer ends within, which are looked through for others: each costs a look at all that follows."""
MAX_SEARCHED = 32
"""The same of objects that end and are no calls: each costs a look at all of it."""

_STRING = r'"(?P<{0}>[^"\\]{{1,128}})"'


def _pattern(text: str) -> Pattern:
    """In which `~` is white space. Possessive, lest much of it is divided in every way between two; bounded, since all
    of it is looked at again with each piece."""
    return regex.compile(text.replace("~", r"\s{0,256}+"))


_BEGINNING = _pattern(
    r'~\{~(?:"(?:type|id)"~:~"[^"\\]{0,128}"~,~){0,2}"name"~:~'
    + _STRING.format("name")
    + r'~,~"(?:arguments|parameters)"~:~(?P<arguments>\{)'
)
"""Of a call whose arguments can be told as they come; of others the whole object has to be there."""
_FIRST_KEY = _pattern(r'~\{~"(?:name|type|id|function|arguments|parameters)"')
_OBJECT = _pattern(r"~\{")
_LIST = _pattern(r"~\[~(?=\{)")
_NAMED = _pattern(r"~(?P<name>[\w.-]{1,128}+)~(?:\[CALL_ID\]~\w{0,64}+~)?(?:\[ARGS\]~)?(?P<arguments>\{)")
_NEXT = _pattern(r"~[,;]?~(?=\{)")
_LIST_END = _pattern(r"~\]")
_LINE = regex.compile(r"(?:\A|\n)[^\S\n]*(?P<bracket>[\[{])")


class CallParser:
    """An `AnswerParser` of text with calls in it. What begins like a call and is none is text."""

    def __init__(
        self, syntax: CallSyntax, names: frozenset[str], *, is_parallel: bool = True, has_text: bool = True
    ) -> None:
        """`names`: of the tools there are; a model may mark a call of others all the same, and bare JSON is none of
        them. `is_parallel`: there may be more calls than one. `has_text`: what is no call is told."""
        self._syntax = syntax
        self._names = names
        self._is_parallel = is_parallel
        self._has_text = has_text
        self._is_over = False
        self._closer: Pattern = _pattern("~" + regex.escape(syntax.closer)) if syntax.closer else None
        self._step: Callable[[], bool] = self._in_text
        """Reads on in the buffer; whether it came anywhere."""
        self._buffer = ""
        self._is_last = False
        self._new = Parsed()
        self._num_calls = 0
        self._num_unclosed = 0
        """Objects that the answer has ended within."""
        self._num_searched = 0
        """Objects that were no calls."""
        self._blank = ""
        """White space before the buffer, which is text if more text follows it."""
        self._is_blank_line = True
        """Whether the line that the text ends with has nothing on it."""
        self._before_call = ""
        """What was taken from the buffer for a call that has not shown to be one."""
        self._is_marked = False
        self._is_listed = False
        self._span = JsonSpan()
        self._num_spanned = 0

    @property
    def is_over(self) -> bool:
        return self._is_over

    def add(self, piece: str) -> Parsed:
        self._buffer += piece
        return self._read()

    def flush(self) -> Parsed:
        self._is_last = True
        return self._read()

    def _read(self) -> Parsed:
        while not self._is_over and self._step():
            pass
        new, self._new = self._new, Parsed()
        return new

    def _in_text(self) -> bool:
        start, end = self._opener()
        if start is not None:
            text = self._buffer[:start].rstrip()
            before = self._blank + self._buffer[:end]
            num_chars = len(self._blank) + len(text) if text else 0
            self._blank = ""
            self._say(before[:num_chars])
            self._is_marked = end > start
            self._before_call = before[num_chars:]
            self._buffer = self._buffer[end:]
            self._is_listed = False
            self._step = self._at_call
            return True
        num_chars = len(self._buffer) - (0 if self._is_last else self._num_of_opener())
        text = self._buffer[:num_chars]
        self._buffer = self._buffer[num_chars:]
        if self._num_calls or not self._is_last:
            # White space before a call, and after the last one, belongs to nothing.
            said = text.rstrip()
            if said:
                self._say(self._blank + said)
                self._blank = ""
            self._blank += text[len(said) :]
        else:
            self._say(self._blank + text)
            self._blank = ""
        return False

    def _opener(self) -> tuple[int | None, int]:
        """Where the next call may begin, and where what marks it ends."""
        marked = self._buffer.find(self._syntax.opener) if self._syntax.opener else -1
        bare = self._bare() if self._syntax.is_bare else -1
        if marked >= 0 and (bare < 0 or marked < bare):
            return marked, marked + len(self._syntax.opener)
        return (bare, bare) if bare >= 0 else (None, 0)

    def _bare(self) -> int:
        match = _LINE.search(self._buffer)
        is_blank_line = self._is_blank_line or "\n" in self._blank
        if match and not match[0].startswith("\n") and not is_blank_line:
            match = _LINE.search(self._buffer, 1)
        return int(match.start("bracket")) if match else -1

    def _num_of_opener(self) -> int:
        """Characters at the end that may be the beginning of an opener."""
        opener = self._syntax.opener
        return next((n for n in range(len(opener) - 1, 0, -1) if self._buffer.endswith(opener[:n])), 0)

    def _say(self, text: str) -> None:
        if self._has_text:
            self._new.text += text
        if text:
            line = text.rpartition("\n")[2]
            self._is_blank_line = not line.strip() and ("\n" in text or self._is_blank_line)

    def _at_call(self) -> bool:
        if self._syntax.name_end and self._is_marked and (named := self._match(_NAMED)) is not None:
            return named is not PENDING and self._begin(named, is_object=False)
        if not self._is_listed and (listed := self._match(_LIST)) is not None:
            if listed is PENDING:
                return False
            self._take(listed.end())
            self._is_listed = True
            return True
        if (beginning := self._match(_BEGINNING)) is not None:
            return beginning is not PENDING and self._begin(beginning, is_object=True)
        whole = self._match(_OBJECT if self._is_marked else _FIRST_KEY)
        if whole is PENDING:
            return False
        if whole is None:
            return self._give_back()
        self._span, self._num_spanned = JsonSpan(), 0
        self._step = self._in_object
        return True

    def _match(self, pattern: Pattern) -> Any:
        """How it matches here; `PENDING`: it may, with what is to come; `None`: it never will."""
        match = pattern.match(self._buffer, partial=not self._is_last)
        return PENDING if match is not None and match.partial else match

    def _take(self, num_chars: int) -> None:
        self._before_call += self._buffer[:num_chars]
        self._buffer = self._buffer[num_chars:]

    def _give_back(self) -> bool:
        """It is no call: the first character is text, and there may be a call in the rest."""
        text = self._before_call + self._buffer
        num_chars = max(1, len(self._before_call.rstrip()) if self._is_marked else len(text) - len(text.lstrip()) + 1)
        self._say(text[:num_chars])
        self._buffer = text[num_chars:]
        self._step = self._in_text
        return True

    def _give_back_object(self, end: int) -> bool:
        """It is no call, and there may be some in it."""
        self._num_searched += 1
        if self._num_searched <= MAX_SEARCHED:
            return self._give_back()
        self._say(self._before_call + self._buffer[:end])
        self._buffer = self._buffer[end:]
        self._step = self._in_text
        return True

    def _give_up(self) -> bool:
        """The answer ends within the object."""
        self._num_unclosed += 1
        if self._num_unclosed <= MAX_UNCLOSED:
            return self._give_back()
        self._say(self._before_call + self._buffer)
        self._buffer = ""
        return False

    def _begin(self, match: Any, *, is_object: bool) -> bool:
        """`is_object`: the arguments stand in an object that has to end as well."""
        if not self._is_marked and match["name"] not in self._names:
            return self._give_back()
        self._call(match["name"])
        self._buffer = self._buffer[match.start("arguments") :]
        self._span = JsonSpan()
        self._step = self._in_arguments_within if is_object else self._in_arguments
        return True

    def _call(self, name: str, arguments: str = "") -> None:
        index = self._num_calls
        self._num_calls += 1
        self._before_call = ""
        self._new.tool_calls.append(ToolCallDelta(index=index, id=self._syntax.new_id(), name=name))
        if arguments:
            self._new.tool_calls.append(ToolCallDelta(index=index, arguments=arguments))

    def _in_arguments(self) -> bool:
        return self._argue() and self._end_call()

    def _in_arguments_within(self) -> bool:
        if not self._argue():
            return False
        self._span = JsonSpan(depth=1)
        self._step = self._in_rest
        return True

    def _argue(self) -> bool:
        """Tell what there is of the arguments; whether that is all of them."""
        end = self._span.feed(self._buffer)
        arguments = self._buffer[:end]
        self._buffer = self._buffer[len(arguments) :]
        if arguments:
            self._new.tool_calls.append(ToolCallDelta(index=self._num_calls - 1, arguments=arguments))
        return end is not None

    def _in_rest(self) -> bool:
        """Behind the arguments, in the object that they stand in; what else it has is nothing to anybody."""
        end = self._span.feed(self._buffer)
        self._buffer = "" if end is None else self._buffer[end:]
        return end is not None and self._end_call()

    def _in_object(self) -> bool:
        """In an object that is a call if it turns out to be one."""
        end = self._span.feed(self._buffer[self._num_spanned :])
        if end is None:
            self._num_spanned = len(self._buffer)
            return self._is_last and self._give_up()
        end += self._num_spanned
        call = _read_call(self._buffer[:end])
        if call is None or not (self._is_marked or call[0] in self._names):
            return self._give_back_object(end)
        self._call(*call)
        self._buffer = self._buffer[end:]
        return self._end_call()

    def _end_call(self) -> bool:
        self._is_over = not self._is_parallel
        self._step = self._after_call
        return True

    def _after_call(self) -> bool:
        if self._closer is not None:
            closer = self._match(self._closer)
            if closer is PENDING:
                return False
            is_cut_off = self._is_last and self._syntax.closer.startswith(self._buffer.strip())
            self._buffer = "" if is_cut_off else self._buffer[closer.end() if closer else 0 :]
        elif not self._syntax.name_end:
            following = self._match(_NEXT)
            list_end = self._match(_LIST_END) if self._is_listed else None
            if PENDING in (following, list_end):
                return False
            if following is not None:
                self._before_call = ""
                self._take(following.end())
                self._step = self._at_call
                return True
            self._buffer = self._buffer[list_end.end() if list_end else 0 :]
        self._step = self._in_text
        return True


def _read_call(text: str) -> tuple[str, str] | None:
    """Name and arguments of an object that is a call in whatever order its keys are."""
    try:
        call = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(call.get("function"), dict):
        call = call["function"]
    name, arguments = call.get("name"), call.get("arguments", call.get("parameters"))
    if not isinstance(name, str) or not name:
        return None
    if isinstance(arguments, str):
        return name, arguments
    if not isinstance(arguments, dict | None):
        return None
    return name, json.dumps(arguments or {}, ensure_ascii=False)
