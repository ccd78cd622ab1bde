"""`python -m evaluation faithfulness`: do the reasoning's words say the grades, and does another photo change them?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.attribute import KINDS
from assay.checkpoint import FormName, ModelSpec, read_checkpoint
from assay.cli.options import with_options
from assay.client import Judgement, Window
from evaluation import options
from evaluation.ladder import damaged, encoded, original
from evaluation.measure import Failed, MeasureOptions, Outcome, measure, refuse_another_checkpoint
from evaluation.report import Report, cell, columns, opening, opening_lines, printed, share
from evaluation.words import bucket_in_words, grades_in, reasons_in
from training.wording import bucket_of

GRADED = tuple(kind.name for kind in KINDS.values() if kind.is_graded)
REASONED = ("composition", "eye_catching")
PARTS = 4
"""A shuffled photo is cut into so many by so many parts."""
BLUR_SIGMA = 6.3
"""In pixels of a photo whose shorter side is 512: "very blurry" by evaluation/truth.py."""


async def faithful(
    photos: Sequence[Path], checkpoint: ModelSpec, form_name: FormName, settings: MeasureOptions
) -> Report:
    """Asks for every photo as it is, shuffled and blurred: numbers, outcomes and the table."""
    whole = await measure(photos, settings)
    refuse_another_checkpoint(checkpoint, whole)
    changed = {name: await measure([partial(_file, p, name) for p in photos], settings) for name in _CHANGES}
    windows = [outcome.windows[0] for outcome in whole if isinstance(outcome, Judgement)]
    every = [*whole, *(outcome for outcomes in changed.values() for outcome in outcomes)]
    numbers = {
        **opening(every, settings),
        "photos": len(photos),
        "words": {name: _agreement(name, checkpoint, form_name, windows) for name in GRADED},
        "reasons": {name: _reasons(name, checkpoint, form_name, windows) for name in REASONED},
        "changes": {name: _changes(whole, outcomes) for name, outcomes in changed.items()},
        "rows": [_row(photo, outcome) for photo, outcome in zip(photos, whole, strict=True)],
    }
    numbers["all_words"] = _total(numbers["words"].values())
    return numbers, every, table(numbers)


def shuffled(picture: Image.Image, seed: int = 0) -> Image.Image:
    """The photo's 4 x 4 parts in another order; the last few pixels that make no whole part are cut off."""
    width, height = picture.width // PARTS, picture.height // PARTS
    boxes = [(x * width, y * height) for y in range(PARTS) for x in range(PARTS)]
    mixed = Image.new("RGB", (width * PARTS, height * PARTS))
    for place, box in zip(np.random.default_rng(seed).permutation(len(boxes)), boxes, strict=True):
        left, top = boxes[place]
        mixed.paste(picture.crop((left, top, left + width, top + height)), box)
    return mixed


def _blurred(picture: Image.Image) -> Image.Image:
    return damaged(picture, "blur", BLUR_SIGMA)


_CHANGES = {"shuffled": shuffled, "blurred": _blurred}


def _file(photo: Path, change: str) -> bytes:
    return encoded(_CHANGES[change](original(photo)), "PNG")


def _agreement(name: str, checkpoint: ModelSpec, form_name: FormName, windows: Sequence[Window]) -> dict[str, Any]:
    graded = [window for window in windows if name in window.attributes]
    said = [grades_in(checkpoint, form_name, window.reasoning).get(name) for window in graded]
    equal = sum(words == window.attributes[name].grade for words, window in zip(said, graded, strict=True))
    # A photo of which neither words nor grades say anything counts as wrong: nothing was said at all.
    return {"n": len(windows), "equal": equal, "in_words": sum(map(bool, said)), "share": share(equal, len(windows))}


def _total(each: Any) -> dict[str, Any]:
    n, equal = (sum(row[key] for row in each) for key in ("n", "equal"))
    return {"n": n, "equal": equal, "share": share(equal, n)}


def _reasons(name: str, checkpoint: ModelSpec, form_name: FormName, windows: Sequence[Window]) -> dict[str, Any]:
    """How far the words of a reason stand from its grade, in fifths of the scale."""
    apart: list[int] = []
    unknown = 0
    for window in windows:
        reason = reasons_in(checkpoint, form_name, window.reasoning).get(name, "")
        said = bucket_in_words(name, reason)
        if said is None or name not in window.attributes:
            unknown += 1
        else:
            apart.append(abs(said - bucket_of(window.attributes[name].grade)))
    return {
        "n": len(apart),
        "in_other_words": unknown,
        "same_fifth": share(apart.count(0), len(apart)),
        "same_or_next_fifth": share(sum(by <= 1 for by in apart), len(apart)),
    }


def _changes(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[str, Any]:
    pairs = [
        (a.windows[0], b.windows[0])
        for a, b in zip(before, after, strict=True)
        if isinstance(a, Judgement) and isinstance(b, Judgement)
    ]
    differ = [{name for name in GRADED if _grade(a, name) != _grade(b, name)} for a, b in pairs]
    return {
        "n": len(pairs),
        "any_grade": share(sum(map(bool, differ)), len(pairs)),
        "reasoning": share(sum(a.reasoning != b.reasoning for a, b in pairs), len(pairs)),
        "by_attribute": {name: share(sum(name in each for each in differ), len(pairs)) for name in GRADED},
        "mean_score_change": float(np.mean([b.score.value - a.score.value for a, b in pairs])) if pairs else None,
    }


def _grade(window: Window, name: str) -> str:
    return window.attributes[name].grade if name in window.attributes else ""


def _row(photo: Path, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"file": str(photo), "reason": outcome.reason, "message": outcome.message}
    window = outcome.windows[0]
    grades = {name: _grade(window, name) for name in GRADED}
    return {"file": str(photo), "score": window.score.value, "grades": grades, "reasoning": window.reasoning}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    changes = numbers["changes"]
    head = ("attribute", "n", "words = grade", *(f"changes if {name}" for name in changes))
    rows = [
        (
            name,
            str(row["n"]),
            cell(row["share"]),
            *(cell(each["by_attribute"][name], ".2f") for each in changes.values()),
        )
        for name, row in numbers["words"].items()
    ]
    total = numbers["all_words"]
    rows.append(
        ("all", str(total["n"]), cell(total["share"]), *(cell(e["any_grade"], ".2f") for e in changes.values()))
    )
    reasons = [
        f"reason of {name}: in the grade's fifth of the scale {cell(row['same_fifth'])}, or the next "
        f"{cell(row['same_or_next_fifth'])}, n {row['n']}, in other words {row['in_other_words']}"
        for name, row in numbers["reasons"].items()
    ]
    moved = [
        f"{name}: reasoning changes {cell(row['reasoning'], '.2f')}, score by {cell(row['mean_score_change'], '+.2f')} "
        f"on average, n {row['n']}"
        for name, row in changes.items()
    ]
    return "\n".join(
        [
            *opening_lines(numbers),
            f"photos          {numbers['photos']}",
            "",
            *columns(head, rows),
            "",
            *reasons,
            *moved,
        ]
    )


@with_options(options.photos, options.asking)
def command(
    photos: list[Path],
    asked: MeasureOptions,
    checkpoint: options.Served = Path("checkpoints/nano"),
    out: options.JsonOut = None,
) -> int:
    """Do the words say the grades, and does another photo change them?"""
    form = options.reasoned_form(asked)
    return printed(faithful(photos, read_checkpoint(checkpoint), form, asked), out)
