"""Measure: many files through a gateway, several at a time; every one has an outcome."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from assay.checkpoint import ModelSpec
from assay.client import AsyncClient, Judgement, Model, NoServer, Source, VideoOptions
from assay.errors import AssayError, UnreadableVerdict
from data.tables import BadDataSet

UNREADABLE_FILE = "UNREADABLE_FILE"


@dataclass(frozen=True, slots=True)
class Failed:
    """A file without a score."""

    reason: str
    """Of the error, in upper case: BAD_MEDIA, UNREADABLE_VERDICT, …; UNREADABLE_FILE if it never left this machine."""
    message: str


Outcome = Judgement | Failed


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How to measure."""

    server: str
    form: str = "regular"
    concurrency: int = 4
    timeout_seconds: float = 1800.0
    video: VideoOptions = field(default_factory=VideoOptions)
    """How videos are sampled, where not as the server does by itself."""


async def measure(
    sources: Sequence[Source | Callable[[], Source]], settings: MeasureOptions, attributes: Sequence[str] = ()
) -> list[Outcome]:
    """One outcome per source, in order. What a function makes is in memory only in its turn."""
    async with AsyncClient(settings.server, timeout_seconds=settings.timeout_seconds) as client:
        with _progress() as progress:
            task = progress.add_task("scoring", total=len(sources))
            said = _Lines(len(sources), is_wanted=progress.disable)

            def advance(place: int, outcome: object) -> None:
                progress.advance(task)
                said.advance()

            found = await client.score_many(
                sources,
                concurrency=settings.concurrency,
                on_outcome=advance,
                form=settings.form,
                attributes=attributes,
                video=settings.video,
            )
    return [each if isinstance(each, Judgement) else failed(each) for each in found]


def failed(error: AssayError | OSError) -> Failed:
    """What a file without a score says of itself."""
    if isinstance(error, AssayError):
        return Failed(error.reason, error.message)
    return Failed(UNREADABLE_FILE, f"cannot be read: {error.strerror or error}")


def failures_by_reason(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How often each reason occurred, the most frequent first."""
    return dict(Counter(outcome.reason for outcome in outcomes if isinstance(outcome, Failed)).most_common())


def unreadable_count(outcomes: Iterable[Outcome]) -> int:
    """How many answers held no score."""
    return failures_by_reason(outcomes).get(UnreadableVerdict.reason, 0)


def models(outcomes: Iterable[Outcome]) -> list[Model]:
    """Every model that scored a file. More than one means that their scores must not be compared."""
    return list(dict.fromkeys(outcome.model for outcome in outcomes if isinstance(outcome, Judgement)))


def refuse_another_checkpoint(checkpoint: ModelSpec, outcomes: Sequence[Outcome]) -> None:
    """BadDataSet where the answers are of other settings than these: the words would be read by the wrong headings."""
    for model in models(outcomes):
        if model.preprocessing_fingerprint != checkpoint.preprocessing_fingerprint:
            raise BadDataSet(
                f"the server's {model.name} was set up with another assay.toml "
                f"({model.preprocessing_fingerprint}, --checkpoint has {checkpoint.preprocessing_fingerprint}); "
                "its words would be read by the wrong headings"
            )


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if all were scored, 3 if the server was gone for some, else 1."""
    reasons = failures_by_reason(outcomes)
    if NoServer.reason in reasons:
        return 3
    return 1 if reasons else 0


class _Lines:
    """Progress where there is no terminal to draw on: a line for every tenth."""

    def __init__(self, total: int, *, is_wanted: bool) -> None:
        self._total, self._is_wanted, self._done = total, is_wanted, 0
        self._began = time.monotonic()

    def advance(self) -> None:
        self._done += 1
        if self._is_wanted and self._done * 10 // self._total > (self._done - 1) * 10 // self._total:
            print(f"scored {self._done} of {self._total}, {time.monotonic() - self._began:.0f} s", file=sys.stderr)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal)
