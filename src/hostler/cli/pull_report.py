"""What somebody who pulls models sees: bars on a terminal, else a line for each step, else nothing."""

import contextlib
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from hostler.cli.consoles import is_live, plain_console
from hostler.models.hub_download import RemoteFile, RemoteModel
from hostler.models.source import LocalModel
from hostler.quantities import format_bytes
from hostler.types import LoadProgress, ModelFacts

_NARROW = 72
"""Columns of a terminal below which there is no room for amounts, speed and time beside the bar."""
_SMALL_BYTES = 2**20
"""A file below that is here before its bar is seen."""


class PullReport:
    """Tells of all models of one `hostler pull`. What comes in from the threads of the downloads may come at once."""

    def __init__(self, console: Console, *, is_quiet: bool = False) -> None:
        """`is_quiet`: nothing is told, since programs read the result."""
        self._console = console
        self._is_quiet = is_quiet
        self._bars: Progress | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}
        """By model id and name of the file; the file `""` is the whole model."""
        self._done: dict[tuple[str, str], int] = {}
        self._totals: dict[str, int] = {}

    @property
    def progress_text(self) -> str:
        """How much of all there is here now: `1.2 GiB of 3.4 GiB`."""
        return f"{size(sum(self._done.values()))} of {size(sum(self._totals.values()))}"

    @contextlib.contextmanager
    def downloading(self, remotes: Mapping[str, RemoteModel]) -> Iterator[None]:
        """While entered, bars are shown where the console is a terminal that can move its cursor."""
        for model_id, remote in remotes.items():
            self._totals[model_id] = remote.num_bytes
            self._done |= {(model_id, file.name): file.done_bytes for file in remote.files}
            self._say(f"{model_id}: {_contents(remote)}")
        if not remotes or self._is_quiet or not is_live(self._console):
            yield
            return
        with new_bars(self._console) as self._bars:
            for model_id, remote in remotes.items():
                self._tasks[model_id, ""] = self._bars.add_task(
                    model_id, total=remote.num_bytes, completed=remote.done_bytes
                )
            yield
        self._bars = None

    def on_bytes(self, model_id: str, file: RemoteFile, done_bytes: int) -> None:
        """So much of the file is here now."""
        self._done[model_id, file.name] = done_bytes
        if self._bars is None:
            return
        of_model = sum(done for (owner, _), done in list(self._done.items()) if owner == model_id)
        self._bars.update(self._tasks[model_id, ""], completed=of_model)
        if file.num_bytes < _SMALL_BYTES:
            return
        key = (model_id, file.name)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(f"  {file.name}", total=file.num_bytes, completed=file.done_bytes)
        self._bars.update(self._tasks[key], completed=done_bytes, visible=done_bytes < file.num_bytes)

    @contextlib.contextmanager
    def converting(self, model_id: str) -> Iterator[Callable[[LoadProgress], None]]:
        """What it gives is told how the conversion and the load after it go."""
        if self._is_quiet:
            yield lambda _: None
            return
        with shown_progress(model_id, self._console) as show:
            yield show

    def tell_end(self, model_id: str, local: LocalModel, facts: ModelFacts | None, downloaded_bytes: int) -> None:
        """The model is complete. `facts`: of a model that was loaded to convert it."""
        at = f", commit {local.revision[:12]}" if local.revision else ""
        here = f"downloaded {size(downloaded_bytes)}" if downloaded_bytes else "all of it was here"
        if facts is None:
            self._say(f"{model_id} is here: {local.weights_format.value}{at}; {here}")
        else:
            self._say(
                f"{model_id} is ready: {facts.architecture}, {facts.num_parameters / 1e6:.0f}M parameters,"
                f" {facts.memory_bytes / 1e6:.0f} MB in {facts.dtype}{at}; {here}"
            )

    def _say(self, line: str) -> None:
        if not self._is_quiet:
            self._console.print(line, soft_wrap=True)


@contextlib.contextmanager
def shown_progress(model_id: str, console: Console | None = None) -> Iterator[Callable[[LoadProgress], None]]:
    """While entered, what it gives is told how far something is with a model: one bar on a terminal, else a line for
    each stage."""
    console = console or plain_console()
    if not is_live(console):
        yield _line_per_stage(model_id, console)
        return
    with new_bars(console) as bars:
        bar = bars.add_task(f"{model_id}: starting", total=None)

        def show(progress: LoadProgress) -> None:
            bars.update(
                bar,
                description=f"{model_id}: {progress.stage}",
                completed=progress.done_bytes,
                total=progress.total_bytes or None,
            )

        yield show


def _line_per_stage(model_id: str, console: Console) -> Callable[[LoadProgress], None]:
    shown: set[str] = set()

    def show(progress: LoadProgress) -> None:
        if progress.stage not in shown:
            shown.add(progress.stage)
            console.print(f"{model_id}: {progress.stage}", soft_wrap=True)

    return show


def size(num_bytes: float) -> str:
    """As `format_bytes`, and small ones by the KiB."""
    return format_bytes(num_bytes) if num_bytes >= 2**20 else f"{num_bytes / 2**10:.0f} KiB"


def _contents(remote: RemoteModel) -> str:
    files = f"{len(remote.files)} files, {size(remote.num_bytes)}" if len(remote.files) > 1 else size(remote.num_bytes)
    done = f", of which {size(remote.done_bytes)} are here" if remote.done_bytes else ""
    return f"{files} at commit {remote.commit[:12]}{done}"


def new_bars(console: Console) -> Progress:
    return Progress(*_columns(console.width), console=console, transient=True, expand=True)


def _columns(width: int) -> tuple[ProgressColumn, ...]:
    name = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
    if width < _NARROW:
        return (name, BarColumn(bar_width=10), TaskProgressColumn())
    return (
        name,
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
