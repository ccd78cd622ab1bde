"""Labels by construction: what the raters said of the photo, moved by what was then done to it.

Nobody rated level shot, clutter or integrity here. Those labels are made from the rotation applied, the crop applied
and the density of edges, and for a photo as it was by the stage-1 model (training/self_label.py); composition and
eye-catching are the raters' mean with penalties. The model card says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.degrade import COLOURING, EXPOSING, Degradation, Pixels

_THUMB_PX = 64
# Measured on PARA's training photos: medians of mean chroma and of edge density in the middle and at the border.
_CHROMA_MEDIAN = 0.113
_EDGES_MEDIAN = {"middle": 0.119, "border": 0.088}
MAX_SCORE = 9.99
TILTED_DEGREES = 2.5
"""A camera turned by so much or more is not level; turns of 1 degree to this are not made."""
CONTENT = ("subject_integrity", "subject_clutter", "background_clutter", "level_shot")
"""What no degradation decides: for a photo as it was, stage 1's labels can stand for these."""


@dataclass(frozen=True, slots=True)
class PixelStatistics:
    """Pixel statistics of an undegraded picture, 0..1 each."""

    luma: float
    chroma: float
    """Mean of (largest minus smallest channel)."""
    middle_edges: float
    border_edges: float
    white: float = 0.0
    """Share of the pixels that are as good as white."""
    black: float = 0.0
    contrast: float = 0.5
    """From the darkest twentieth to the brightest."""


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
    motion_damage: float = 0.0
    """Of a clip: 0 (moves as it should) to 1 (shaken or frozen to ruin)."""
    content: Mapping[str, float] = field(default_factory=dict)
    """Places of the CONTENT attributes of the photo as it was; made from its pixels where not given."""
    graded: Mapping[str, float] = field(default_factory=dict)
    """Places of the other attributes of the photo as it was, where somebody graded them."""


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


def pixel_statistics(pixels: Pixels) -> PixelStatistics:
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
    low, high = np.quantile(luma, (0.05, 0.95))
    return PixelStatistics(
        float(luma.mean()),
        chroma,
        float(edges[middle].mean()),
        float(edges[~middle].mean()),
        float((thumb.min(2) > 0.96).mean()),
        float((luma < 0.08).mean()),
        float(high - low),
    )


def truth(made: Made, statistics: PixelStatistics) -> Truth:
    """The labels of one picture. The score falls strictly with every added damage."""
    left = float(np.prod([d.clarity_left() for d in made.degradations]))
    colour = _joint([d.damage() for d in made.degradations if d.kind in COLOURING])
    if statistics.chroma < 0.04:
        colour *= statistics.chroma / 0.04
    others = [d.damage() for d in made.degradations if d.kind not in COLOURING]
    damage = _joint([colour, *others, made.motion_damage])
    is_tilted = abs(made.tilt_degrees) >= TILTED_DEGREES
    untouched = float(np.clip((made.mos - 1) / 4 * 10 - 0.8 * made.cut - 0.5 * is_tilted, 0.3, MAX_SCORE))
    score = float(np.clip(untouched * (1 - 0.75 * damage) - 0.5 * damage, 0.02, MAX_SCORE))
    lost = untouched - score
    content, graded = {**_from_pixels(statistics), **made.content}, made.graded
    appeal = 0.8 + untouched * 0.92
    clear = graded.get("clarity", float(np.clip(3.25 + 0.9 * (made.quality - 3.3), 0.8, 3.85)))
    return Truth(
        score=score,
        composition=float(np.clip(graded.get("composition", appeal) - is_tilted - made.cut - 0.2 * lost, 1, 10)),
        eye_catching=float(np.clip(graded.get("eye_catching", appeal + _pull(statistics)) - 0.7 * lost, 1, 10)),
        subject_integrity=content["subject_integrity"] - 2.1 * made.cut,
        subject_clutter=content["subject_clutter"],
        background_clutter=content["background_clutter"],
        level_shot=0.4 if is_tilted else content["level_shot"],
        clarity=clear * left,
        exposure=_exposure(made, statistics),
        saturation=_saturation(made, statistics),
    )


def _pull(statistics: PixelStatistics) -> float:
    """What catches the eye beyond its beauty: strong colour and contrast, -1 to 1 grades."""
    colour, contrast = np.log2((statistics.chroma + 0.02) / (_CHROMA_MEDIAN + 0.02)), (statistics.contrast - 0.6) / 0.25
    return float(np.clip(0.5 * colour + 0.4 * contrast, -1, 1))


def _joint(damages: Sequence[float]) -> float:
    return 1 - float(np.prod([1 - min(damage, 1.0) for damage in damages]))


def _from_pixels(statistics: PixelStatistics) -> dict[str, float]:
    return {
        "subject_integrity": 2.5,
        "subject_clutter": _uncluttered(statistics.middle_edges / _EDGES_MEDIAN["middle"]),
        "background_clutter": _uncluttered(statistics.border_edges / _EDGES_MEDIAN["border"]),
        "level_shot": 1.6,
    }


def _exposure(made: Made, statistics: PixelStatistics) -> float:
    """Half a stop ends "properly exposed", a little over two stops "slightly"."""
    stops = sum(d.amount * (1 if d.kind == "overexpose" else -1) for d in made.degradations if d.kind in EXPOSING)
    # A third of a stop too much is easily taken for the scene's own light, so the label leans a little that way.
    borders = (0, 0.35, 1.8, 5.0) if stops > 0 else (0, 0.5, 2.15, 5.5)
    moved = float(np.sign(stops) * np.interp(abs(stops), borders, (0, 0.5, 1.5, 2.45)))
    natural = made.graded.get("exposure", _natural_exposure(statistics))
    return float(np.clip(natural + moved, 0.02, 4.98))


def _natural_exposure(statistics: PixelStatistics) -> float:
    """Of a photo as it was taken: what is burnt out or drowned in black counts, and brightness a little."""
    burnt, drowned = max(0.0, statistics.white - 0.04), max(0.0, statistics.black - 0.3)
    return float(2.5 + np.clip((statistics.luma - 0.45) * 2, -0.9, 0.8) + min(0.9, 4 * burnt) - min(1.2, 1.6 * drowned))


def _saturation(made: Made, statistics: PixelStatistics) -> float:
    """Borders at 0.2, 0.63, 1.4 and 2.6 times the colour of a photo of usual colour."""
    # Chroma goes with the colour factor alone: an underexposed red is still a red.
    factor = float(np.prod([d.amount for d in made.degradations if d.kind in COLOURING]))
    # A colourful photo is not yet one with too much colour: half of what it has more than usual counts.
    natural = 0.5 * np.log2((statistics.chroma + 0.01) / (_CHROMA_MEDIAN + 0.01))
    if "saturation" in made.graded:
        natural = np.interp(made.graded["saturation"], _SATURATION_PLACES, _COLOUR_LOG2)
    return float(np.interp(natural + np.log2(max(factor, 0.02)), _COLOUR_LOG2, _SATURATION_PLACES))


_COLOUR_LOG2, _SATURATION_PLACES = (-5.0, -2.32, -0.667, 0.485, 1.38, 2.6), (0.1, 1.0, 2.0, 3.0, 4.0, 4.9)


def _uncluttered(edges: float) -> float:
    return float(np.clip(1.5 - np.log2(max(edges, 1e-3)) * 1.1, 0, 3))


def grade_probabilities(place: float, grades: int, spread: float) -> NDArray[np.float32]:
    """A soft label over ordinal grades: a bell of that spread (in grades) around the place in [0, grades)."""
    centres = np.arange(grades) + 0.5
    weights = np.exp(-(((centres - place) / spread) ** 2) / 2)
    return np.asarray(weights / weights.sum(), np.float32)
