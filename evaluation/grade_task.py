"""Grade task: a photo, what is done to it, and the grades it then deserves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageOps

from evaluation.ladder import encoded, original
from evaluation.measure import UNREADABLE_FILE, Failed, Outcome
from evaluation.sound import Measures, fit_for, measures
from evaluation.truth import RULES, TURNS_DEGREES, UNDAMAGED, damaged_file, level_shot, turned


@dataclass(frozen=True, slots=True)
class Task:
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


def tasks_of(photo: Path, facts: Measures) -> Iterator[Task]:
    """Everything that is asked of a photo; nothing of one that is fit for no attribute."""
    fit = [name for name in UNDAMAGED if fit_for(name, facts)]
    if fit:
        yield Task(photo, "", 0.0, tuple((name, UNDAMAGED[name]) for name in fit))
    for damage, rule in RULES.items():
        if rule.attribute in fit:
            for strength in rule.strengths:
                yield Task(photo, damage, strength, ((rule.attribute, rule.grade(strength)),))
    if fit_for("level_shot", facts):
        for degrees in TURNS_DEGREES:
            yield Task(photo, "rotation", degrees, (("level_shot", level_shot(degrees)),))
        # A second level view, or tilted ones would outnumber them by six.
        yield Task(photo, "mirrored rotation", 0.0, (("level_shot", "yes"),))
