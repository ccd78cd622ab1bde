"""Curation: simple statistics that point at subtitles, watermarks and stitched pictures, which the paper filters out.

The paper does not say how its authors filtered. These are rules over luma alone, made and measured on generated
examples (tests/data/curation_examples.py): they know nothing of real captions, logos or collages beyond that, and what
they flag is meant to be checked by a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import fft
from scipy.ndimage import gaussian_filter

from data.tables import BadDataSet

Luma = NDArray[np.float32]
"""(height, width), 0..255."""

_PEAK_PX = 5

LONG_SIDE_PX = 512
"""Pictures are measured no larger than this, so that the statistics mean the same for all."""
THRESHOLDS: Mapping[str, float] = {"subtitle": 0.035, "watermark": 0.22, "stitched": 0.85}
"""A statistic at or above its threshold is flagged; set on generated examples of seed 0, measured on others."""


@dataclass(frozen=True, slots=True)
class PictureStatistics:
    """What the statistics say of one picture."""

    path: Path
    statistics: Mapping[str, float]
    """Filter -> its statistic, 0..1."""

    @property
    def flags(self) -> tuple[str, ...]:
        return flags(self.statistics)


def flags(statistics: Mapping[str, float]) -> tuple[str, ...]:
    """The filters whose threshold is reached."""
    return tuple(name for name, least in THRESHOLDS.items() if statistics[name] >= least)


def look(path: Path) -> PictureStatistics:
    """BadDataSet if the file is no picture that decodes."""
    try:
        with Image.open(path) as picture:
            return PictureStatistics(path, statistics(picture))
    except (OSError, UnidentifiedImageError) as error:
        raise BadDataSet(f"{path} is no picture that can be decoded: {error}") from error


def statistics(picture: Image.Image) -> dict[str, float]:
    """Filter -> its statistic, 0..1."""
    small = picture.convert("RGB")
    small.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.BOX)
    luma = np.asarray(small.convert("L"), np.float32)
    colours = np.asarray(small, np.float32)
    return {"subtitle": subtitle(luma), "watermark": watermark(luma), "stitched": stitched(colours)}


def subtitle(luma: Luma) -> float:
    """Share of outlined strokes (white within two pixels of black, along the row) in the fullest row of lines of the
    lower 45 %, above that of the upper half, which is the picture's own share."""
    strokes = _outlined(luma)
    height = len(luma)
    line = max(4, height // 20)
    lower, upper = strokes[int(height * 0.55) :], strokes[: height // 2]
    return float(max(0.0, _fullest(lower, line) - _fullest(upper, line)))


def _outlined(luma: Luma) -> Luma:
    """1 where a white pixel has a black one within two pixels on both sides: a stroke of outlined text."""
    white, black = luma >= 215, luma <= 50
    left, right = np.zeros_like(white), np.zeros_like(white)
    # A stroke is at most a few pixels wide, so that the outline is never farther than this.
    for step in range(1, 7):
        left[:, step:] |= black[:, :-step]
        right[:, :-step] |= black[:, step:]
    return np.asarray(white & left & right, np.float32)


def _fullest(strokes: Luma, line: int) -> float:
    if len(strokes) < line:
        return 0.0
    rows = np.convolve(strokes.mean(1), np.ones(line) / line, "valid")
    return float(rows.max())


def watermark(luma: Luma) -> float:
    """How far the highest peak of the fine detail's autocorrelation stands out, away from the middle: a mark repeated
    over the picture comes back at its own distance. A single mark is not found; tiles and windows look the same."""
    fine = np.clip(luma - gaussian_filter(luma, 2.0), -24, 24)
    fine = fine - fine.mean()
    height, width = fine.shape
    # Zeros around, or the picture's two ends would meet.
    power = np.abs(fft.rfft2(fine, (2 * height, 2 * width))) ** 2
    same = fft.fftshift(fft.irfft2(power, (2 * height, 2 * width)))
    overlap = np.outer(_overlap(height), _overlap(width))
    here = max(float(same[height, width]), 1e-6) / (height * width)
    score = same / np.maximum(overlap, 1) / here
    # Neighbours resemble each other in any picture, and a small overlap resembles by chance.
    reach = max(12, min(height, width) // 12)
    score[height - reach : height + reach + 1, width - reach : width + reach + 1] = 0
    score[overlap < 0.35 * height * width] = 0
    # A mark meets itself at one place; an edge or a stripe all along its length, so that its peak is a ridge.
    neighbours = [np.roll(score, step, axis) for axis in (0, 1) for step in (-_PEAK_PX, _PEAK_PX)]
    return float(np.clip((score - np.max(neighbours, axis=0)).max(), 0, 1))


def _overlap(length: int) -> NDArray[np.float64]:
    return np.asarray(length - np.abs(np.arange(-length, length)), np.float64)


def stitched(colours: Luma) -> float:
    """Share of the picture's height (or width) over which one column (or row) boundary is a sharp step in any of the
    colours (height, width, 3); the outer tenth is left out, because borders are no seams. A bare horizon
    is a seam to it."""
    return max(_seam(colours), _seam(colours.transpose(1, 0, 2)))


def _seam(colours: Luma) -> float:
    steps = np.abs(np.diff(colours, axis=1)).max(2)
    # Sharp against what lies four pixels to either side, so that texture is no seam.
    around = np.minimum(np.roll(steps, 4, 1), np.roll(steps, -4, 1))
    sharp = (steps > 14) & (steps > 3 * around)
    edge = max(5, steps.shape[1] // 10)
    return float(sharp[:, edge:-edge].mean(0).max(initial=0.0))
