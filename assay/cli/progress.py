"""What a person reads while a file is scored, on stderr: the text as it is written, and how far the work has come."""

import sys
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from assay.attribute import KINDS
from assay.v1 import event_pb2

_MIB = 1024 * 1024


class Screen:
    """Takes text as it is written and shows how far the work has come; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """What was written stays."""

    def write(self, text: str) -> None:
        """Appends text that need not end at a line end."""

    def progress(self, doing: str, done: int, total: int) -> None:
        """Shows `done` of `total` steps; `total` 0 if it is not known."""


class PlainScreen(Screen):
    """Writes to stderr as it comes; for pipes and logs, so without a bar."""

    def __init__(self) -> None:
        self._is_at_line_start = True

    def __exit__(self, *_: object) -> None:
        if not self._is_at_line_start:
            self.write("\n")

    def write(self, text: str) -> None:
        if text:
            self._is_at_line_start = text.endswith("\n")
            sys.stderr.write(text)
            sys.stderr.flush()


class TerminalScreen(Screen):
    """Text that grows above a progress bar. On leaving, the text stays and the bar goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = ""
        """The line that is still being written."""
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[steps]}"),
            TimeElapsedColumn(),
        )
        self._task = self._bar.add_task("uploading", total=None, steps="")
        # stdout is left alone: it may be a pipe, and what goes there must not end up on stderr.
        self._live = Live(
            console=console, transient=True, refresh_per_second=12, redirect_stdout=False, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._line:
            self._print(self._line)
            self._line = ""
        self._live.update(Text(""))
        self._live.stop()

    def write(self, text: str) -> None:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._print(line)
        # A paragraph without line ends would outgrow the live area, which holds what fits on the screen.
        while len(self._line) > self._console.width:
            cut = self._line.rfind(" ", 1, self._console.width) + 1 or self._console.width
            self._print(self._line[:cut].rstrip())
            self._line = self._line[cut:]
        self._draw()

    def progress(self, doing: str, done: int, total: int) -> None:
        steps = f"{done}/{total}" if total else ""
        self._bar.update(self._task, description=doing, completed=done, total=total or None, steps=steps)
        self._draw()

    def _print(self, line: str) -> None:
        # What is printed moves above the live area, so it must be gone from there first.
        self._live.update(self._bar)
        self._console.print(Text(line, style="dim"))

    def _draw(self) -> None:
        written = [Text(self._line, style="dim")] if self._line else []
        self._live.update(Group(*written, self._bar))


def stderr_screen(*, quiet: bool) -> Screen:
    """The screen that suits what stderr is."""
    if quiet:
        return Screen()
    console = Console(stderr=True, highlight=False)
    return TerminalScreen(console) if console.is_terminal and not console.is_dumb_terminal else PlainScreen()


class ProgressCounter:
    """Counts attributes of a picture, windows of a video."""

    def __init__(self, wanted_attributes: int) -> None:
        """`wanted_attributes` is how many are to be reported; 0 for all of them."""
        self._attributes = wanted_attributes or len(KINDS)
        self._graded = 0
        self._is_video = False
        self._windows = (0, 0)
        self._doing = "uploading"
        self._early = ""

    def feed(self, event: event_pb2.ScoreEvent) -> None:
        match event.WhichOneof("event"):
            case "started":
                self._is_video = event.started.media.kind == event_pb2.MEDIA_KIND_VIDEO
                self._doing = "decoding"
            case "progress":
                progress = event.progress
                self._windows = (progress.finished_windows, progress.started_windows)
                self._doing = f"{progress.received_bytes / _MIB:.1f} MiB, {progress.sampled_frames} frames"
            case "early_score" if not self._is_video:
                self._early = f", early score {event.early_score.score.value:.1f}"
            case "attribute":
                self._graded += 1

    def shown(self) -> tuple[str, int, int]:
        """What is being done, steps done, steps in all (0: not known)."""
        if self._is_video:
            finished, begun = self._windows
            return f"{self._doing}, windows" if begun else self._doing, finished, begun
        return f"{self._doing}{self._early}", self._graded, self._attributes if self._graded else 0
