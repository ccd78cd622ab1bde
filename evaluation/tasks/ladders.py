"""`python -m evaluation ladders`: do scores and grades follow damage of known strength?"""

from collections.abc import Sequence
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from assay.attribute import KINDS, Attribute
from assay.cli.options import with_options
from assay.client import Judgement
from evaluation import options
from evaluation.correlation import srcc
from evaluation.ladder import LADDERS, STEPS, Ladder, step
from evaluation.measure import MeasureOptions, Outcome, measure
from evaluation.report import Report, opening, opening_lines, printed


async def climb(photos: Sequence[Path], settings: MeasureOptions) -> Report:
    """Scores every photo on every ladder: numbers, outcomes and the table.

    In the report's rows the photo as it was has no ladder's name and step 0.
    """
    tasks = [(photo, name, number) for photo in photos for name, number in _rungs()]
    attributes = sorted({ladder.attribute for ladder in LADDERS.values()}) if settings.form != "direct" else []
    outcomes = await measure([partial(step, *task) for task in tasks], settings, attributes)
    by_task = dict(zip(tasks, outcomes, strict=True))
    numbers = {
        **opening(outcomes, settings),
        "photos": len(photos),
        "ladders": {
            ladder.name: _summary(ladder, [_climbed(photo, ladder, by_task) for photo in photos])
            for ladder in LADDERS.values()
        },
        "rows": [_row(*task, outcome) for task, outcome in by_task.items()],
    }
    return numbers, outcomes, table(numbers)


def _row(photo: Path, name: str, number: int, outcome: Outcome) -> dict[str, Any]:
    place = {"file": str(photo), "ladder": name, "step": number}
    if not isinstance(outcome, Judgement):
        return {**place, "reason": outcome.reason, "message": outcome.message}
    grades = {attribute.name: attribute.grade for attribute in outcome.attributes.values()}
    return {**place, "score": outcome.score.value, "grades": grades}


def _rungs() -> list[tuple[str, int]]:
    """What is sent of one photo. All ladders begin at the same file, which is sent once."""
    return [("", 0), *((name, number) for name in LADDERS for number in range(1, STEPS))]


def _climbed(photo: Path, ladder: Ladder, by_task: dict[tuple[Path, str, int], Outcome]) -> list[Outcome]:
    return [by_task[photo, "", 0], *(by_task[photo, ladder.name, number] for number in range(1, STEPS))]


def _summary(ladder: Ladder, climbs: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    whole = [
        [outcome for outcome in climb if isinstance(outcome, Judgement)]
        for climb in climbs
        if all(isinstance(outcome, Judgement) for outcome in climb)
    ]
    graded = [
        attributes
        for climb in whole
        if len(
            attributes := [each.attributes[ladder.attribute] for each in climb if ladder.attribute in each.attributes]
        )
        == STEPS
    ]
    sure = [attributes for attributes in graded if all(each.probabilities for each in attributes)]
    return {
        "attribute": ladder.attribute,
        "direction": ladder.direction,
        "incomplete_photos": len(climbs) - len(whole),
        "score": _mean_srcc([[judgement.score.value for judgement in climb] for climb in whole]),
        "grade": _mean_srcc([[float(each.ordinal) for each in attributes] for attributes in graded]),
        "expected_grade": _mean_srcc([[expected_ordinal(each) for each in attributes] for attributes in sure]),
    }


def expected_ordinal(attribute: Attribute) -> float:
    """The mean place of the grade in its order, counted from 1, under the model's probabilities."""
    grades = KINDS[attribute.name].grades
    return sum(place * attribute.probabilities[grade] for place, grade in enumerate(grades, start=1))


def _mean_srcc(climbs: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Mean over photos of Spearman's correlation with the step; a value that never moves counts as 0."""
    steps = np.arange(STEPS, dtype=np.float64)
    each = [srcc(np.array(values), steps) for values in climbs]
    unmoved = sum(map(isnan, each))
    mean = float(np.nansum(each)) / len(each) if each else None
    return {"mean_srcc": mean, "photos": len(each), "unmoved_photos": unmoved}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    head = f"{'ladder':<16}{'score':>8}  {'grade of':<12}{'arg-max':>9}{'expected':>10}{'should':>9}{'photos':>8}"
    return "\n".join(
        [
            *opening_lines(numbers),
            f"photos          {numbers['photos']}, {STEPS} steps on each of {len(LADDERS)} ladders",
            "",
            "mean over photos of Spearman's correlation with the step; the score should reach -1",
            head,
            *(_line(name, ladder) for name, ladder in numbers["ladders"].items()),
        ]
    )


def _line(name: str, ladder: dict[str, Any]) -> str:
    cells = [_cell(ladder[key]) for key in ("score", "grade", "expected_grade")]
    return (
        f"{name:<16}{cells[0]:>8}  {ladder['attribute']:<12}{cells[1]:>9}{cells[2]:>10}"
        f"{ladder['direction']:>+9d}{ladder['score']['photos']:>8}"
    )


def _cell(numbers: dict[str, Any]) -> str:
    return "-" if numbers["mean_srcc"] is None else f"{numbers['mean_srcc']:+.3f}"


@with_options(options.photos, options.asking)
def command(photos: list[Path], asked: MeasureOptions, out: options.JsonOut = None) -> int:
    """Damage photos in known steps: do scores and grades follow?"""
    return printed(climb(photos, asked), out)
