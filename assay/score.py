"""Score: what people are predicted to say of a picture or clip, on average (a prediction of the MOS)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of a score."""

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.minimum < self.maximum:
            raise ValueError(f"a scale rises, got {self.minimum = }, {self.maximum = }")


@dataclass(frozen=True, slots=True)
class Score:
    """A number on a scale, with the model's own doubt."""

    value: float
    """In units of the scale."""
    standard_deviation: float
    """Of the model's own distribution, in units of the scale; says nothing of how much people disagree."""
    scale: Scale
    written: str = ""
    """The digits as the model wrote them, "3.72"; empty for a score made from several."""
    by_prefix: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Digits so far, without the point, to ten probabilities of the next; empty for a score made from several."""

    def __post_init__(self) -> None:
        if not isfinite(self.value) or not isfinite(self.standard_deviation) or self.standard_deviation < 0:
            raise ValueError(f"a score is finite, got {self.value = }, {self.standard_deviation = }")
