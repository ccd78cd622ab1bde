"""Grades + a tenant's weights -> composite score: one number that leans on what this tenant's people care about.

The paper fits attribute weights to feedback by partial least squares and publishes neither weights nor coding
(RealQA, arXiv 2503.06141); the coding here is ours, and training/composite.py fits weights to it. A grade becomes
numbers by its ordinal, counted from 1:

NAME           the ordinal itself: "cluttered" 1, "moderately cluttered" 2, "uncluttered" 3. Every graded attribute.
NAME.distance  how far the ordinal is from the middle of its order, at least 0: "underexposed" and "overexposed" 2,
               "properly exposed" 0. Bipolar attributes only (exposure, saturation), next to the ordinal: the weight of
               the one says that both ends are bad, that of the other to which side people lean.

Where an attribute has probabilities, the mean over its grades is taken, and the spread over them is its doubt.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assay.attribute import KINDS, Attribute, AttributeKind
from assay.errors import CheckpointError
from assay.score import Scale, Score

DISTANCE = ".distance"
Finite = Annotated[float, Field(allow_inf_nan=False)]


def features_of(kind: AttributeKind) -> tuple[str, ...]:
    """Names of the numbers that an attribute is coded as; none for one that is described in words."""
    if not kind.is_graded:
        return ()
    return (kind.name, f"{kind.name}{DISTANCE}") if kind.is_bipolar else (kind.name,)


FEATURES: tuple[str, ...] = tuple(feature for kind in KINDS.values() for feature in features_of(kind))
"""Every number that can weigh, in the order of KINDS."""


def coded(feature: str, ordinal: float) -> float:
    """The feature's number for a grade at this place of its order, counted from 1."""
    if not feature.endswith(DISTANCE):
        return ordinal
    grades = KINDS[feature.removesuffix(DISTANCE)].grades
    return abs(ordinal - (len(grades) + 1) / 2)


class CompositeWeights(BaseModel):
    """What one tenant's feedback says: score = intercept + sum of weight * feature, cut off at the scale's ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Finite
    maximum: Finite
    """Scale of the feedback, which is that of the composite score."""
    intercept: Finite
    """In units of the scale."""
    weights: Annotated[Mapping[str, Finite], Field(min_length=1)]
    """Feature, as in FEATURES, to units of the scale per unit of the feature. One that is left out does not weigh."""
    checkpoint_fingerprint: str = ""
    """The checkpoint whose grades the weights were fitted to; empty if people graded. Another one's are refused."""
    note: str = ""
    """Where the weights come from, for people."""

    @model_validator(mode="after")
    def _are_known(self) -> "CompositeWeights":
        if unknown := [name for name in self.weights if name not in FEATURES]:
            raise ValueError(f"unknown feature {unknown[0]!r}; known are {', '.join(FEATURES)}")
        Scale(self.minimum, self.maximum)
        return self

    def of(self, kind: AttributeKind, ordinal: float) -> float:
        """What a grade at this place adds to the score, in units of the scale."""
        return sum(self.weights.get(feature, 0.0) * coded(feature, ordinal) for feature in features_of(kind))


def weights_from_json(text: str, origin: str) -> CompositeWeights:
    """CheckpointError names `origin` and the key that is missing, misspelt or out of range."""
    try:
        return CompositeWeights.model_validate_json(text)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{origin}: {key or 'file'}: {first['msg']}") from wrong


def composite_score(attributes: Sequence[Attribute], weights: CompositeWeights) -> Score | None:
    """The weighted sum; None if an attribute that weighs was not graded (free prose may leave one out).

    The standard deviation is that of the grades' probabilities, taken as independent of each other; 0 where a grade
    came without probabilities.
    """
    graded = {each.name: each for each in attributes if each.grade}
    weighing = [kind for kind in KINDS.values() if set(features_of(kind)) & weights.weights.keys()]
    if any(kind.name not in graded for kind in weighing):
        return None
    moments = [_moments(graded[kind.name], kind, weights) for kind in weighing]
    value = weights.intercept + sum(mean for mean, _ in moments)
    scale = Scale(weights.minimum, weights.maximum)
    bounded = min(max(value, scale.minimum), scale.maximum)
    return Score(bounded, sqrt(sum(variance for _, variance in moments)), scale)


def _moments(attribute: Attribute, kind: AttributeKind, weights: CompositeWeights) -> tuple[float, float]:
    """Mean and variance, over the grade's probabilities, of what the attribute adds."""
    probabilities = attribute.probabilities or {attribute.grade: 1.0}
    total = sum(probabilities.values())
    shares = [
        (probabilities.get(grade, 0.0) / total, weights.of(kind, place))
        for place, grade in enumerate(kind.grades, start=1)
    ]
    mean = sum(share * added for share, added in shares)
    return mean, max(sum(share * added**2 for share, added in shares) - mean**2, 0.0)
