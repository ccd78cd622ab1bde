"""Attributes: what is graded about a picture, and the words of each grade (RealQA, section 3.1, appendix B.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Level(Enum):
    """How much of the picture one has to take in: the whole, its objects, its pixels."""

    HIGH = "high"
    MIDDLE = "middle"
    LOW = "low"


_ONE_TO_TEN = tuple(str(grade) for grade in range(1, 11))
_CLUTTER = ("cluttered", "moderately cluttered", "uncluttered")


@dataclass(frozen=True, slots=True)
class AttributeKind:
    """One attribute of the schema."""

    name: str
    level: Level
    grades: tuple[str, ...] = ()
    """In ordinal order; empty where the attribute is described in words."""
    is_bipolar: bool = False
    """True if the best grade stands in the middle of the order (exposure, saturation)."""

    @property
    def is_graded(self) -> bool:
        return bool(self.grades)


KINDS: Mapping[str, AttributeKind] = {
    kind.name: kind
    for kind in (
        AttributeKind("composition", Level.HIGH, _ONE_TO_TEN),
        AttributeKind("eye_catching", Level.HIGH, _ONE_TO_TEN),
        AttributeKind("subject_and_background", Level.MIDDLE),
        AttributeKind("subject_integrity", Level.MIDDLE, ("incomplete", "partially complete", "fully complete")),
        AttributeKind("subject_clutter", Level.MIDDLE, _CLUTTER),
        AttributeKind("background_clutter", Level.MIDDLE, _CLUTTER),
        AttributeKind("level_shot", Level.MIDDLE, ("no", "yes")),
        AttributeKind("clarity", Level.LOW, ("very blurry", "moderately blurry", "moderately clear", "very clear")),
        AttributeKind(
            "exposure",
            Level.LOW,
            ("underexposed", "slightly underexposed", "properly exposed", "slightly overexposed", "overexposed"),
            is_bipolar=True,
        ),
        AttributeKind("saturation", Level.LOW, ("ultra-low", "low", "medium", "high", "ultra-high"), is_bipolar=True),
    )
}
"""The ten attributes in the paper's order: high, middle, low."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """What the model says of one attribute of one clip."""

    name: str
    grade: str = ""
    """One of KINDS[name].grades; empty for an attribute described in words."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Every grade to its probability, summing to 1; empty if the grade was read from prose or there is none."""
    text: str = ""
    """Reason for the grade, or the attribute itself where it is described in words."""

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise ValueError(f"unknown attribute {self.name!r}; known are {', '.join(KINDS)}")
        grades = KINDS[self.name].grades
        if grades and self.grade not in grades:
            raise ValueError(f"{self.name} has no grade {self.grade!r}; it has {', '.join(grades)}")
        if self.probabilities and set(self.probabilities) != set(grades):
            raise ValueError(f"{self.name} needs a probability for each of {grades}, got {self.probabilities!r}")

    @property
    def ordinal(self) -> int:
        """Place of the grade in its order, counted from 1. ValueError for an attribute described in words."""
        return KINDS[self.name].grades.index(self.grade) + 1
