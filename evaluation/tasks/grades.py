"""`python -m evaluation grades`: are clarity, exposure, saturation and level shot graded as known damage says?"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageOps

from assay.attribute import KINDS, Attribute
from assay.cli.options import with_options
from assay.client import Judgement
from data.tables import BadDataSet
from evaluation import options
from evaluation.correlation import srcc
from evaluation.ladder import encoded, original
from evaluation.measure import UNREADABLE_FILE, Failed, MeasureOptions, Outcome, measure
from evaluation.report import Report, cell, columns, opening, opening_lines, printed, share
from evaluation.sound import Measures, fit_for, measures
from evaluation.tasks.ladders import expected_ordinal
from evaluation.truth import RULES, TURNS_DEGREES, UNDAMAGED, damaged_file, level_shot, turned


@dataclass(frozen=True, slots=True)
class GradeTask:
    """One file to be graded."""

    photo: Path
    damage: str
    """A key of RULES, "rotation", "mirrored rotation", or "" for the photo as it was."""
    strength: float
    truths: tuple[tuple[str, str], ...]
    """(attribute, grade) for each that the damage decides."""

    def file(self) -> bytes:
        """OSError if the photo cannot be read."""
        picture = original(self.photo)
        match self.damage:
            case "":
                return encoded(picture, "PNG")
            case "rotation":
                return encoded(turned(picture, self.strength), "PNG")
            case "mirrored rotation":
                return encoded(turned(ImageOps.mirror(picture), self.strength), "PNG")
        return damaged_file(picture, self.damage, self.strength)


def measured(photos: Sequence[Path]) -> tuple[dict[Path, Measures], list[Outcome]]:
    """What each photo measures, and a failure for each that cannot be read."""
    found: dict[Path, Measures] = {}
    unread: list[Outcome] = []
    for photo in photos:
        try:
            found[photo] = measures(original(photo))
        except OSError as error:
            unread.append(Failed(UNREADABLE_FILE, f"{photo} cannot be read: {error}"))
    return found, unread


def tasks_of(photo: Path, facts: Measures) -> Iterator[GradeTask]:
    """Everything that is asked of a photo; nothing of one that is fit for no attribute."""
    fit = [name for name in UNDAMAGED if fit_for(name, facts)]
    if fit:
        yield GradeTask(photo, "", 0.0, tuple((name, UNDAMAGED[name]) for name in fit))
    for damage, rule in RULES.items():
        if rule.attribute in fit:
            for strength in rule.strengths:
                yield GradeTask(photo, damage, strength, ((rule.attribute, rule.grade(strength)),))
    if fit_for("level_shot", facts):
        for degrees in TURNS_DEGREES:
            yield GradeTask(photo, "rotation", degrees, (("level_shot", level_shot(degrees)),))
        # A second level view, or tilted ones would outnumber them by six.
        yield GradeTask(photo, "mirrored rotation", 0.0, (("level_shot", "yes"),))


ATTRIBUTES = (*UNDAMAGED, "level_shot")


async def grade(photos: Sequence[Path], settings: MeasureOptions) -> Report:
    """Asks for every photo that is fit for an attribute, undamaged and damaged: numbers, outcomes and the table."""
    facts_of, unread = measured(photos)
    tasks = [task for photo, facts in facts_of.items() for task in tasks_of(photo, facts)]
    if not tasks:
        raise BadDataSet(f"none of {len(photos)} photos is sharp, well exposed, moderately coloured or has level edges")
    outcomes = await measure([task.file for task in tasks], settings, ATTRIBUTES)
    fit = {name: sum(fit_for(name, facts) for facts in facts_of.values()) for name in ATTRIBUTES}
    numbers = {
        **opening([*outcomes, *unread], settings),
        "photos": len(photos),
        "fit_photos": fit,
        "graded": [_ordinal_summary(name, damage, tasks, outcomes) for name, damage in _kinds()],
        "level_shot": _level_summary(tasks, outcomes),
        "measures": {str(photo): asdict(facts) for photo, facts in facts_of.items()},
        "rows": [_row(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True)],
    }
    return numbers, [*outcomes, *unread], table(numbers)


def _kinds() -> list[tuple[str, tuple[str, ...]]]:
    """(attribute, damages) for each line of the table."""
    single = [(rule.attribute, (damage,)) for damage, rule in RULES.items()]
    return [*single[:2], ("clarity", ("blur", "jpeg")), *single[2:]]


def _graded(
    name: str, damages: Sequence[str], tasks: Sequence[GradeTask], outcomes: Sequence[Outcome]
) -> Iterator[tuple[str, Attribute]]:
    """(true grade, attribute) of every file that the damages or none were done to."""
    for task, outcome in zip(tasks, outcomes, strict=True):
        truth = dict(task.truths).get(name)
        if truth and task.damage in ("", *damages) and isinstance(outcome, Judgement) and name in outcome.attributes:
            yield truth, outcome.attributes[name]


def _ordinal_summary(
    name: str, damages: tuple[str, ...], tasks: Sequence[GradeTask], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    order = KINDS[name].grades
    pairs = list(_graded(name, damages, tasks, outcomes))
    wrong_by = [abs(order.index(truth) + 1 - graded.ordinal) for truth, graded in pairs]
    truths = np.array([order.index(truth) + 1.0 for truth, _ in pairs])
    # Prose has no probabilities; there the grade itself has to do.
    graded = np.array([expected_ordinal(each) if each.probabilities else float(each.ordinal) for _, each in pairs])
    rank = srcc(graded, truths)
    confusion = {truth: dict.fromkeys(order, 0) for truth in order}
    for truth, attribute in pairs:
        confusion[truth][attribute.grade] += 1
    return {
        "attribute": name,
        "damage": " and ".join(damages),
        "n": len(pairs),
        "exact": share(sum(by == 0 for by in wrong_by), len(pairs)),
        "exact_or_adjacent": share(sum(by <= 1 for by in wrong_by), len(pairs)),
        "srcc": None if np.isnan(rank) else rank,
        "confusion": confusion,
    }


def _level_summary(tasks: Sequence[GradeTask], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    pairs = list(_graded("level_shot", ("rotation", "mirrored rotation"), tasks, outcomes))
    right = {truth: [graded.grade == truth for true, graded in pairs if true == truth] for truth in ("yes", "no")}
    shares = {truth: share(sum(each), len(each)) for truth, each in right.items()}
    by_turn = {
        f"{degrees:+g}": share(sum(each := _level_at(degrees, tasks, outcomes)), len(each)) for degrees in TURNS_DEGREES
    }
    level, tilted = shares["yes"], shares["no"]
    return {
        "n": len(pairs),
        "level_right": level,
        "tilted_right": tilted,
        "balanced_accuracy": None if level is None or tilted is None else (level + tilted) / 2,
        "right_by_degrees": by_turn,
    }


def _level_at(degrees: float, tasks: Sequence[GradeTask], outcomes: Sequence[Outcome]) -> list[bool]:
    here = [place for place, task in enumerate(tasks) if "rotation" in task.damage and task.strength == degrees]
    damages = ("rotation", "mirrored rotation")
    pairs = _graded("level_shot", damages, [tasks[place] for place in here], [outcomes[place] for place in here])
    return [graded.grade == truth for truth, graded in pairs]


def _row(task: GradeTask, outcome: Outcome) -> dict[str, Any]:
    place = {"file": str(task.photo), "damage": task.damage, "strength": task.strength, "truth": dict(task.truths)}
    if isinstance(outcome, Failed):
        return {**place, "reason": outcome.reason, "message": outcome.message}
    graded = {name: outcome.attributes[name].grade for name in ATTRIBUTES if name in outcome.attributes}
    return {**place, "score": outcome.score.value, "grades": graded}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    head = ("attribute", "damage", "n", "exact", "or adjacent", "Spearman")
    rows = [
        (
            row["attribute"],
            row["damage"],
            str(row["n"]),
            *(cell(row[key]) for key in ("exact", "exact_or_adjacent", "srcc")),
        )
        for row in numbers["graded"]
    ]
    level = numbers["level_shot"]
    fit = ", ".join(f"{count} {name}" for name, count in numbers["fit_photos"].items())
    return "\n".join(
        [
            *opening_lines(numbers),
            f"photos          {numbers['photos']}, of which fit: {fit} (evaluation/sound.py)",
            "",
            "grades against known damage (evaluation/truth.py); Spearman of the expected place with the true one",
            *columns(head, rows),
            "",
            f"level shot      balanced accuracy {cell(level['balanced_accuracy'])}: level {cell(level['level_right'])},"
            f" tilted {cell(level['tilted_right'])}, n {level['n']}",
            "right by degrees  "
            + ", ".join(f"{turn} {cell(part, '.2f')}" for turn, part in level["right_by_degrees"].items()),
        ]
    )


@with_options(options.photos, options.asking)
def command(photos: list[Path], asked: MeasureOptions, out: options.JsonOut = None) -> int:
    """Grade photos with known damage: are the grades right?"""
    options.reasoned_form(asked)
    return printed(grade(photos, asked), out)
