"""Many prompts at once: one item for each, with its answer or its error."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from hostler.client.calls import Answer, Call
from hostler.client.options import Messages
from hostler.client.retries import Failure
from hostler.errors import InvalidRequestError

if TYPE_CHECKING:
    from rich.progress import Progress

DEFAULT_CONCURRENCY = 8


@dataclass(frozen=True)
class BatchItem(Generic[Answer]):
    """What became of one prompt."""

    model: str
    prompt: str | Messages
    error: Failure | None
    """Why there is no answer; the others do not depend on it."""
    _answer: Answer | None

    @property
    def answer(self) -> Answer:
        """Raises the item's own error where there is none."""
        if self.error is not None:
            raise self.error
        assert self._answer is not None, "an item has an answer or an error"
        return self._answer


@dataclass(frozen=True)
class Job(Generic[Answer]):
    """One request of a batch."""

    model: str
    prompt: str | Messages
    call: Call[Answer]

    def answered(self, answer: Answer) -> BatchItem[Answer]:
        return BatchItem(self.model, self.prompt, None, answer)

    def failed(self, error: Failure) -> BatchItem[Answer]:
        return BatchItem(self.model, self.prompt, error, None)


def models_of(model: str | Sequence[str]) -> list[str]:
    return [model] if isinstance(model, str) else list(model)


def check_concurrency(concurrency: int) -> None:
    """
    Raises:
        InvalidRequestError: nothing would ever be sent.
    """
    if concurrency < 1:
        raise InvalidRequestError(f"concurrency is {concurrency}; it should be 1 or more", param="concurrency")


@contextlib.contextmanager
def progress_bar(num_items: int, is_shown: bool) -> Iterator[Callable[[BatchItem[Answer]], None]]:
    """What to call with each item that is done; shown on the standard error."""
    if not is_shown:
        yield lambda _: None
        return
    with _bar() as bar:
        task = bar.add_task("asking", total=num_items, failed="")
        num_failed = 0

        def advance(item: BatchItem[Answer]) -> None:
            nonlocal num_failed
            num_failed += item.error is not None
            bar.update(task, advance=1, failed=f"{num_failed} failed" if num_failed else "")

        yield advance


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("[red]{task.fields[failed]}"))
    return Progress(*columns, console=Console(stderr=True))
