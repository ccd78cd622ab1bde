"""Several scores -> one score; several gradings -> one grading."""

from collections.abc import Sequence
from math import sqrt

from assay.attribute import KINDS, Attribute
from assay.score import Score


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


def pool_mean(scores: Sequence[Score], weights: Sequence[float]) -> Score:
    """Weighted mean over windows; `weights` are >= 0, in any unit (seconds, frames), with a sum > 0.

    The standard deviation is the weighted mean of theirs: windows of one video share what the model gets wrong, so
    their errors do not cancel. A single score is returned as it is.
    """
    total = sum(weights)
    if len(scores) != len(weights) or not scores:
        raise ValueError(f"each score needs one weight, got {len(scores)} scores and {len(weights)} weights")
    if min(weights) < 0 or total <= 0:
        raise ValueError(f"weights must be >= 0 with a sum > 0, got {weights = }")
    if len({score.scale for score in scores}) != 1:
        raise ValueError(f"scales differ: {sorted({str(score.scale) for score in scores})}")
    if len(scores) == 1:
        return scores[0]
    value = sum(w * score.value for w, score in zip(weights, scores, strict=True)) / total
    deviation = sum(w * score.standard_deviation for w, score in zip(weights, scores, strict=True)) / total
    return Score(value, deviation, scores[0].scale)


def pool_attributes(windows: Sequence[Sequence[Attribute]], weights: Sequence[float]) -> list[Attribute]:
    """What is said of the whole, from what is said of each window, in the order of the first window that tells it.

    A graded attribute gets the mean of the windows' probabilities (a grade without probabilities counts as sure) and
    the most probable grade. Words are those of the window that weighs most; the first of equals.
    """
    names = list(dict.fromkeys(attribute.name for window in windows for attribute in window))
    return [_pool_one(name, windows, weights) for name in names]


def _pool_one(name: str, windows: Sequence[Sequence[Attribute]], weights: Sequence[float]) -> Attribute:
    told = [
        (weight, attribute)
        for weight, window in zip(weights, windows, strict=True)
        for attribute in window
        if attribute.name == name
    ]
    if len(told) == 1:
        return told[0][1]
    if not KINDS[name].is_graded:
        return max(told, key=lambda pair: pair[0])[1]
    total = sum(weight for weight, _ in told)
    probabilities = {
        grade: sum(weight * _sure(attribute).get(grade, 0.0) for weight, attribute in told) / total
        for grade in KINDS[name].grades
    }
    grade = max(probabilities, key=lambda each: probabilities[each])
    text = next((a.text for _, a in sorted(told, key=lambda pair: -pair[0]) if a.grade == grade), "")
    has_probabilities = all(attribute.probabilities for _, attribute in told)
    return Attribute(name, grade, probabilities if has_probabilities else {}, text)


def _sure(attribute: Attribute) -> dict[str, float]:
    return dict(attribute.probabilities) or {attribute.grade: 1.0}
