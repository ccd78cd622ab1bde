"""Several scores -> one score; several gradings -> one grading."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import sqrt

from assay.attribute import KINDS, Attribute
from assay.score import Score
from assay.video import Pooling, PoolingRule

MEAN = PoolingRule()


def reconcile(direct: Score, reasoned: Score, direct_weight: float) -> Score:
    """One score from the number asked for alone and the number asked for after the reasoning.

    The value is their weighted mean, the standard deviation that of the mixture of both distributions, so that two
    sure but different numbers make an unsure one. ValueError if the scales differ.
    """
    if direct.scale != reasoned.scale:
        raise ValueError(f"scales differ: {direct.scale} and {reasoned.scale}")
    if not 0.0 <= direct_weight <= 1.0:
        raise ValueError(f"direct_weight must be in [0, 1], got {direct_weight = }")
    pairs = ((direct_weight, direct), (1.0 - direct_weight, reasoned))
    value = sum(weight * score.value for weight, score in pairs)
    second = sum(weight * (score.standard_deviation**2 + score.value**2) for weight, score in pairs)
    return Score(value, sqrt(max(second - value**2, 0.0)), direct.scale)


def pool(scores: Sequence[Score], weights: Sequence[float], rule: PoolingRule = MEAN) -> Score:
    """One score from those of the windows; `weights` are >= 0, in any unit (seconds, frames), with a sum > 0.

    The standard deviation is the weighted mean of those that went in: windows of one video share what the model gets
    wrong, so their errors do not cancel. A single score is returned as it is.
    """
    if len(scores) != len(weights) or not scores:
        raise ValueError(f"each score needs one weight, got {len(scores)} scores and {len(weights)} weights")
    if min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(f"weights must be >= 0 with a sum > 0, got {weights = }")
    if len({score.scale for score in scores}) != 1:
        raise ValueError(f"scales differ: {sorted({str(score.scale) for score in scores})}")
    if len(scores) == 1:
        return scores[0]
    worst_first = sorted(zip(scores, weights, strict=True), key=lambda pair: pair[0].value)
    match rule.method:
        case Pooling.PERCENTILE:
            return _bare(_at_percentile(worst_first, rule.percentile))
        case Pooling.WORST:
            return _mean(worst_first[: rule.worst_count])
        case _:
            return _mean(list(zip(scores, weights, strict=True)))


def _at_percentile(worst_first: Sequence[tuple[Score, float]], percentile: float) -> Score:
    """The first score at which so much of the whole weight is reached."""
    wanted = sum(weight for _, weight in worst_first) * percentile / 100
    for (score, _), reached in zip(worst_first, accumulate(weight for _, weight in worst_first), strict=True):
        if reached >= wanted * (1 - 1e-9):
            return score
    return worst_first[-1][0]


def _mean(pairs: Sequence[tuple[Score, float]]) -> Score:
    total = sum(weight for _, weight in pairs)
    if total <= 0:  # the worst windows may be those that cover no time
        pairs, total = [(score, 1.0) for score, _ in pairs], float(len(pairs))
    value = sum(weight * score.value for score, weight in pairs) / total
    deviation = sum(weight * score.standard_deviation for score, weight in pairs) / total
    return Score(value, deviation, pairs[0][0].scale)


def _bare(score: Score) -> Score:
    """Without the digits, which were those of one window."""
    return Score(score.value, score.standard_deviation, score.scale)


class AttributePool:
    """What is said of the whole, from what is said of each window, in the order of the first window that has it.

    A graded attribute gets the mean of the windows' probabilities (a grade without probabilities counts as sure), of
    which its grade is read as that of a single window is. Words are those of the window that weighs most; the first of
    equals. Memory does not grow with the number of windows.
    """

    def __init__(self, quantiles: Mapping[str, float] | None = None) -> None:
        """`quantiles`: see `ModelSpec.grade_quantiles`; an attribute that is not in it gets its likeliest grade."""
        self._quantiles = quantiles or {}
        self._grades: dict[str, _PooledGrade] = {}

    def feed(self, attributes: Iterable[Attribute], weight: float) -> None:
        for attribute in attributes:
            self._grades.setdefault(attribute.name, _PooledGrade()).feed(attribute, weight)

    def pooled(self) -> list[Attribute]:
        return [grade.pooled(self._quantiles.get(name)) for name, grade in self._grades.items()]


@dataclass(slots=True)
class _PooledGrade:
    """One attribute over several windows."""

    heaviest: dict[str, tuple[float, Attribute]] = field(default_factory=dict)
    """Grade to the weightiest window that gave it; the words of an attribute without grades are under ""."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """Sums over windows, each times its weight."""
    weight: float = 0.0
    count: int = 0
    has_probabilities: bool = True

    def feed(self, attribute: Attribute, weight: float) -> None:
        self.count += 1
        self.weight += weight
        self.has_probabilities &= bool(attribute.probabilities)
        before = self.heaviest.get(attribute.grade)
        if before is None or weight > before[0]:
            self.heaviest[attribute.grade] = (weight, attribute)
        for grade, probability in (attribute.probabilities or {attribute.grade: 1.0}).items():
            self.probabilities[grade] = self.probabilities.get(grade, 0.0) + weight * probability

    def pooled(self, quantile: float | None) -> Attribute:
        first = next(iter(self.heaviest.values()))[1]
        if self.count == 1 or not KINDS[first.name].is_graded:
            return first
        grades = KINDS[first.name].grades
        probabilities = {grade: self.probabilities.get(grade, 0.0) / self.weight for grade in grades}
        # Grades that were read from prose have no probabilities, and of a single window they are not read anew either.
        grade = _grade(probabilities, quantile if self.has_probabilities else None)
        text = self.heaviest[grade][1].text if grade in self.heaviest else ""
        return Attribute(first.name, grade, probabilities if self.has_probabilities else {}, text)


def _grade(probabilities: Mapping[str, float], quantile: float | None) -> str:
    """The first grade at which the probabilities of those up to it reach the share, or else the most probable one."""
    if quantile is None:
        return max(probabilities, key=lambda each: probabilities[each])
    sums = zip(probabilities, accumulate(probabilities.values()), strict=True)
    # The last one where rounding keeps the whole sum below a share of nearly one.
    return next((grade for grade, so_far in sums if so_far >= quantile), [*probabilities][-1])
