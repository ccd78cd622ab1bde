"""`python -m evaluation repeats`: how far does a score move because frames that stand still are shown once?

Every clip is scored twice, with `keep_repeats` and without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.cli.options import with_options
from assay.client import Judgement, VideoOptions
from evaluation import options
from evaluation.clips import FRAMES_PER_SECOND, Picture, pan, write_clip
from evaluation.measure import Failed, MeasureOptions, Outcome, measure
from evaluation.report import Report, cell, columns, opening, opening_lines, printed, share

CLIP_SECONDS = 8.0
"""Two windows of nano's."""
GRAIN_LEVELS = 3.0
"""Standard deviation of what an old film adds to each picture."""


def _still(pictures: Sequence[Picture]) -> list[Picture]:
    return [pictures[0]] * len(pictures)


def _grain(pictures: Sequence[Picture]) -> list[Picture]:
    random = np.random.default_rng(0)
    noise = [random.normal(0.0, GRAIN_LEVELS, pictures[0].shape) for _ in range(8)]
    return [np.clip(pictures[0] + noise[at % 8], 0, 255).astype(np.uint8) for at in range(len(pictures))]


def _slides(pictures: Sequence[Picture]) -> list[Picture]:
    """Another picture every two seconds."""
    every = 2 * FRAMES_PER_SECOND
    return [pictures[at // every * every] for at in range(len(pictures))]


def _stops(pictures: Sequence[Picture]) -> list[Picture]:
    half = len(pictures) // 2
    return [*pictures[:half], *[pictures[half]] * (len(pictures) - half)]


def _as_it_is(pictures: Sequence[Picture]) -> list[Picture]:
    return list(pictures)


MOTIONS: Mapping[str, Callable[[Sequence[Picture]], list[Picture]]] = {
    "one picture": _still,
    "one picture and grain": _grain,
    "slides of 2 s": _slides,
    "pan that stops": _stops,
    "slow pan": _as_it_is,
}


async def compare(photos: Sequence[Path], settings: MeasureOptions) -> Report:
    """Asks for every clip of every photo in both ways: numbers, outcomes and the table."""
    tasks = [(photo, motion) for photo in photos for motion in MOTIONS]
    made = [partial(_clip, *task) for task in tasks]
    shown = await measure(made, replace(settings, video=VideoOptions(keep_repeats=True)))
    left_out = await measure(made, replace(settings, video=VideoOptions(keep_repeats=False)))
    outcomes = [*shown, *left_out]
    pairs = dict(zip(tasks, zip(shown, left_out, strict=True), strict=True))
    numbers = {
        **opening(outcomes, settings),
        "photos": len(photos),
        "motions": {motion: _summary([pairs[photo, motion] for photo in photos]) for motion in MOTIONS},
        "rows": [_row(*task, *pair) for task, pair in pairs.items()],
    }
    return numbers, outcomes, table(numbers)


def _clip(photo: Path, motion: str) -> bytes:
    return write_clip(MOTIONS[motion](pan(photo, CLIP_SECONDS)))


def _summary(pairs: Sequence[tuple[Outcome, Outcome]]) -> dict[str, Any]:
    """Of the clips that were scored in both ways."""
    both = [(a, b) for a, b in pairs if isinstance(a, Judgement) and isinstance(b, Judgement)]
    moved = [b.score.value - a.score.value for a, b in both]
    windows = [window for _, b in both for window in b.windows]
    frames = sum(window.frame_count + window.repeated_frames for window in windows)
    return {
        "n": len(both),
        "repeated_frames": share(sum(window.repeated_frames for window in windows), frames),
        "windows_not_asked": share(sum(window.is_repeat for window in windows), len(windows)),
        "mean_move": float(np.mean(moved)) if moved else None,
        "mean_absolute_move": float(np.mean(np.abs(moved))) if moved else None,
        "greatest_absolute_move": float(np.max(np.abs(moved))) if moved else None,
    }


def _row(photo: Path, motion: str, shown: Outcome, left_out: Outcome) -> dict[str, Any]:
    return {
        "file": str(photo),
        "motion": motion,
        "shown": _score_or_failure(shown),
        "left_out": _score_or_failure(left_out),
    }


def _score_or_failure(outcome: Outcome) -> float | str:
    return f"{outcome.reason}: {outcome.message}" if isinstance(outcome, Failed) else outcome.score.value


_COLUMNS = {
    "repeated_frames": ".2f",
    "windows_not_asked": ".2f",
    "mean_move": "+.3f",
    "mean_absolute_move": ".3f",
    "greatest_absolute_move": ".3f",
}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    rows = [
        (motion, str(row["n"]), *(cell(row[key], form) for key, form in _COLUMNS.items()))
        for motion, row in numbers["motions"].items()
    ]
    head = ("clips of one photo", "n", "frames left out", "windows not asked", "mean move", "|move|", "greatest")
    return "\n".join([*opening_lines(numbers), "", "score without repeats minus score with them", *columns(head, rows)])


@with_options(options.photos, options.asking)
def command(photos: list[Path], asked: MeasureOptions, out: options.JsonOut = None) -> int:
    """Score clips of photos with and without frames that stand still: does the score stay?"""
    return printed(compare(photos, asked), out)
