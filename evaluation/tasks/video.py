"""`python -m evaluation video`: do scores follow damage to clips, and does a timeline show a bad second?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from assay.checkpoint import FormName
from assay.cli.options import with_options
from assay.client import DEFAULT_SERVER, Judgement
from evaluation import options
from evaluation.clip_ladder import CLIP_LADDERS, step, with_bad_second
from evaluation.clips import Picture, pan, read_clip
from evaluation.correlation import srcc
from evaluation.measure import Failed, MeasureOptions, Outcome, measure
from evaluation.report import Report, cell, columns, opening, opening_lines, printed, share

CLIP_SECONDS = 4.0
"""Length of a clip on a ladder: one window of nano's."""
TIMELINE_SECONDS = 12.0
BAD_FROM_SECONDS = 5.5


@dataclass(frozen=True, slots=True)
class Source:
    """Where a clip comes from."""

    path: Path
    is_photo: bool
    """True: a pan over a photo. False: the beginning of a video."""

    def pictures(self, seconds: float) -> list[Picture]:
        """OSError if the file cannot be read."""
        return pan(self.path, seconds) if self.is_photo else read_clip(self.path, seconds)


Task = tuple[Source, str, float]
"""(source, ladder or "" or "timeline" or "bad second", strength)."""


async def climb(sources: Sequence[Source], settings: MeasureOptions) -> Report:
    """Asks for every clip on every ladder and for the timelines: numbers, outcomes and the table."""
    tasks = [(source, *rung) for source in sources for rung in _rungs()]
    outcomes = await measure(
        [_file(*task) for task in tasks], settings, ["clarity"] if settings.form != "direct" else []
    )
    by_task = dict(zip(tasks, outcomes, strict=True))
    numbers = {
        **opening(outcomes, settings),
        "clips": len(sources),
        "made_of_photos": sum(source.is_photo for source in sources),
        "ladders": {name: _ladder(name, sources, by_task) for name in CLIP_LADDERS},
        "bad_second": _bad_second(sources, by_task),
        "rows": [_row(*task, outcome) for task, outcome in by_task.items()],
    }
    return numbers, outcomes, table(numbers)


def _rungs() -> list[tuple[str, float]]:
    ladders = [(name, strength) for name, strengths in CLIP_LADDERS.items() for strength in strengths]
    return [("", 0.0), *ladders, ("timeline", 0.0), ("bad second", BAD_FROM_SECONDS)]


def _file(source: Source, name: str, strength: float) -> Callable[[], bytes]:
    # Made in its turn, or hundreds of clips would be in memory at once.
    return partial(_made, source, name, strength)


def _made(source: Source, name: str, strength: float) -> bytes:
    if name in ("timeline", "bad second"):
        pictures = _pictures(source, TIMELINE_SECONDS)
        return step(pictures, "", 0.0) if name == "timeline" else with_bad_second(pictures, strength)
    return step(_pictures(source, CLIP_SECONDS), name, strength)


@lru_cache(maxsize=2)
def _pictures(source: Source, seconds: float) -> list[Picture]:
    """Twenty rungs in a row are made of the same pictures, and twelve seconds of them are 200 MB."""
    return source.pictures(seconds)


def _ladder(name: str, sources: Sequence[Source], by_task: dict[Task, Outcome]) -> dict[str, Any]:
    """Spearman of score with step, clip by clip; -1 is what should be. A clip with a failed step is left out."""
    found: dict[str, float] = {}
    falls: list[float] = []
    for source in sources:
        climbed = [by_task[source, "", 0.0], *(by_task[source, name, strength] for strength in CLIP_LADDERS[name])]
        scores = [outcome.score.value for outcome in climbed if isinstance(outcome, Judgement)]
        if len(scores) == len(climbed):
            rank = srcc(np.array(scores), np.arange(len(scores), dtype=np.float64))
            # A score that never moves has no rank; it followed nothing.
            found[str(source.path)] = 0.0 if np.isnan(rank) else rank
            falls.append(scores[0] - scores[-1])
    ranks = list(found.values())
    return {
        "n": len(ranks),
        "mean_srcc": float(np.mean(ranks)) if ranks else None,
        "worst_srcc": max(ranks) if ranks else None,
        "at_most_minus_0.9": share(sum(rank <= -0.9 for rank in ranks), len(ranks)),
        "mean_fall": float(np.mean(falls)) if falls else None,
        "by_clip": found,
    }


def _bad_second(sources: Sequence[Source], by_task: dict[Task, Outcome]) -> dict[str, Any]:
    """What the timeline says where one second is bad, against the same clip without it."""
    hit: list[bool] = []
    lowest: list[bool] = []
    there: list[float] = []
    elsewhere: list[float] = []
    for source in sources:
        good, bad = by_task[source, "timeline", 0.0], by_task[source, "bad second", BAD_FROM_SECONDS]
        if not (isinstance(good, Judgement) and isinstance(bad, Judgement) and len(good.windows) == len(bad.windows)):
            continue
        place = next((i for i, w in enumerate(bad.windows) if w.end_seconds >= BAD_FROM_SECONDS), None)
        if place is None or len(bad.windows) < 2:
            continue
        fell = [a.score.value - b.score.value for a, b in zip(good.windows, bad.windows, strict=True)]
        there.append(fell[place])
        elsewhere += [abs(each) for i, each in enumerate(fell) if i != place]
        hit.append(int(np.argmax(fell)) == place and fell[place] > 0)
        lowest.append(int(np.argmin([w.score.value for w in bad.windows])) == place)
    return {
        "n": len(hit),
        "falls_most_there": share(sum(hit), len(hit)),
        "lowest_of_its_timeline": share(sum(lowest), len(lowest)),
        "mean_fall_there": float(np.mean(there)) if there else None,
        "mean_change_elsewhere": float(np.mean(elsewhere)) if elsewhere else None,
    }


def _row(source: Source, name: str, strength: float, outcome: Outcome) -> dict[str, Any]:
    place = {"file": str(source.path), "ladder": name, "strength": strength}
    if isinstance(outcome, Failed):
        return {**place, "reason": outcome.reason, "message": outcome.message}
    return {**place, "score": outcome.score.value, "windows": [window.score.value for window in outcome.windows]}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    rows = [
        (name, str(row["n"]), *(cell(row[key], form) for key, form in _COLUMNS.items()))
        for name, row in numbers["ladders"].items()
    ]
    bad = numbers["bad_second"]
    return "\n".join(
        [
            *opening_lines(numbers),
            f"clips           {numbers['clips']}, of which {numbers['made_of_photos']} are slow pans over photos",
            "",
            "Spearman's correlation of the score with the step, clip by clip; it should reach -1",
            *columns(("ladder", "clips", "mean", "worst", "<= -0.9", "first - last score"), rows),
            "",
            f"one bad second  the window that holds it falls most in {cell(bad['falls_most_there'])} of clips, is the "
            f"lowest of its timeline in {cell(bad['lowest_of_its_timeline'])};",
            f"                it falls by {cell(bad['mean_fall_there'], '.2f')}, other windows move by "
            f"{cell(bad['mean_change_elsewhere'], '.2f')}, n {bad['n']}",
        ]
    )


_COLUMNS = {"mean_srcc": "+.3f", "worst_srcc": "+.3f", "at_most_minus_0.9": ".2f", "mean_fall": "+.2f"}


def _asking(
    server: options.Server = DEFAULT_SERVER,
    form: FormName = "regular",
    concurrency: options.Concurrency = 2,
    timeout: options.Timeout = 1800.0,
) -> MeasureOptions:
    """Fewer at once than photos: a clip is a hundred times as much work."""
    return MeasureOptions(server, form, concurrency, timeout)


@with_options(_asking)
def command(
    asked: MeasureOptions,
    videos: Annotated[Path | None, typer.Option(metavar="DIR", help="the beginning of every video below it")] = None,
    photos: Annotated[Path | None, typer.Option(metavar="DIR", help="or slow pans over the photos below it")] = None,
    limit: options.Limit = 8,
    out: options.JsonOut = None,
) -> int:
    """Damage clips in known steps; a timeline with one bad second."""
    folder = options.exactly_one(videos=videos, photos=photos)
    kinds = (options.PHOTOS, "photo") if photos else (_VIDEOS, "video")
    files = options.files_below(folder, *kinds)[:limit]
    return printed(climb([Source(path, bool(photos)) for path in files], asked), out)


_VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".ts", ".mpg")
