"""Labels by construction: what the raters said of the photo, moved by what was then done to it.

Nobody rated level shot, clutter or integrity here. Those labels are made from the rotation applied, the crop applied
and the density of edges; composition and eye-catching are the raters' mean with penalties. The model card says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.degrade import BLURRING, Degradation, Pixels

_THUMB_PX = 64
# Measured on PARA's training photos: medians of mean chroma and of edge density in the middle and at the border.
_CHROMA_MEDIAN = 0.113
_EDGES_MEDIAN = {"middle": 0.119, "border": 0.088}
MAX_SCORE = 9.99


@dataclass(frozen=True, slots=True)
class Looks:
    """Pixel statistics of an undegraded picture, 0..1 each."""

    luma: float
    chroma: float
    """Mean of (largest minus smallest channel)."""
    middle_edges: float
    border_edges: float


@dataclass(frozen=True, slots=True)
class Made:
    """How a picture was made from its photo."""

    mos: float
    """1..5, rated or guessed by the teacher."""
    quality: float
    """1..5."""
    tilt_degrees: float = 0.0
    cut: float = 0.0
    """0: the photo's middle is in the picture; 1: an edge of the picture runs through it."""
    degradations: tuple[Degradation, ...] = ()
    shrink: float = 1.0


@dataclass(frozen=True, slots=True)
class Truth:
    """What the model shall say. Grades are continuous places: grade k of the order spans [k, k + 1)."""

    score: float
    """0..9.99."""
    composition: float
    """1..10, nearest grade counts."""
    eye_catching: float
    subject_integrity: float
    subject_clutter: float
    background_clutter: float
    level_shot: float
    clarity: float
    exposure: float
    saturation: float


def looks(pixels: Pixels) -> Looks:
    """Of a picture before any degradation."""
    picture = Image.fromarray(pixels).resize((_THUMB_PX, _THUMB_PX), Image.Resampling.BOX)
    thumb = np.asarray(picture, np.float32) / 255
    luma = thumb @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = np.zeros_like(luma)
    edges[:, 1:] += np.abs(np.diff(luma, axis=1))
    edges[1:] += np.abs(np.diff(luma, axis=0))
    middle = np.zeros(luma.shape, bool)
    quarter = _THUMB_PX // 4
    middle[quarter:-quarter, quarter:-quarter] = True
    chroma = float((thumb.max(2) - thumb.min(2)).mean())
    return Looks(float(luma.mean()), chroma, float(edges[middle].mean()), float(edges[~middle].mean()))


def truth(made: Made, seen: Looks) -> Truth:
    """The labels of one picture. The score falls strictly with every added damage."""
    blurring = _damage([d for d in made.degradations if d.kind in BLURRING], made.shrink)
    colour = _damage([d for d in made.degradations if d.kind not in BLURRING], made.shrink)
    if seen.chroma < 0.04 and any(d.kind in ("desaturate", "oversaturate") for d in made.degradations):
        colour *= seen.chroma / 0.04
    damage = 1 - (1 - blurring) * (1 - colour)
    untouched = (made.mos - 1) / 4 * 10 - 0.8 * made.cut - (0.7 if abs(made.tilt_degrees) > 3 else 0.0)
    untouched = float(np.clip(untouched, 0.3, MAX_SCORE))
    score = float(np.clip(untouched * (1 - 0.75 * damage) - 0.5 * damage, 0.02, MAX_SCORE))
    lost = untouched - score
    tilted = 1.0 if abs(made.tilt_degrees) > 3 else 0.0
    # Chroma goes with the colour factor alone: an underexposed red is still a red.
    factor = float(np.prod([d.amount for d in made.degradations if d.kind in ("desaturate", "oversaturate")]))
    return Truth(
        score=score,
        composition=float(np.clip(0.8 + untouched * 0.92 - tilted - made.cut - 0.2 * lost, 1, 10)),
        eye_catching=float(np.clip(0.8 + untouched * 0.92 - 0.7 * lost, 1, 10)),
        subject_integrity=2.5 - 2.1 * made.cut,
        subject_clutter=_uncluttered(seen.middle_edges / _EDGES_MEDIAN["middle"]),
        background_clutter=_uncluttered(seen.border_edges / _EDGES_MEDIAN["border"]),
        level_shot=1.5 - tilted,
        clarity=float(np.clip(3.1 + (made.quality - 3.3), 1.0, 3.8)) * (1 - 0.97 * blurring),
        exposure=float(np.clip(2.5 + np.clip((seen.luma - 0.45) * 2, -0.9, 0.9) + _stops(made) * 1.25, 0, 5)),
        saturation=float(np.clip(2.5 + 1.2 * np.log2((seen.chroma * factor + 0.01) / (_CHROMA_MEDIAN + 0.01)), 0, 5)),
    )


def _damage(degradations: Sequence[Degradation], shrink: float) -> float:
    return 1 - float(np.prod([1 - min(d.damage(shrink), 1.0) for d in degradations]))


def _stops(made: Made) -> float:
    return sum(
        d.amount * (1 if d.kind == "overexpose" else -1)
        for d in made.degradations
        if d.kind in ("underexpose", "overexpose")
    )


def _uncluttered(edges: float) -> float:
    return float(np.clip(1.5 - np.log2(max(edges, 1e-3)) * 1.1, 0, 3))


def grade_probabilities(place: float, grades: int, spread: float) -> NDArray[np.float32]:
    """A soft label over ordinal grades: a bell of that spread (in grades) around the place in [0, grades)."""
    centres = np.arange(grades) + 0.5
    weights = np.exp(-(((centres - place) / spread) ** 2) / 2)
    return np.asarray(weights / weights.sum(), np.float32)
