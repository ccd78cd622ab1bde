"""Sound: which photos have nothing wrong with them to begin with, measured at a shorter side of 512 px.

Nobody graded these photos, so a known damage is only put on those that measure well: sharp ones for clarity, well
exposed ones for exposure, moderately coloured ones for saturation, ones with straight level edges for level shot.
The limits were chosen from the measures of the held-out open photos, before any model was asked.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

_SIDE_PX = 512
_ALL = range(-45, 46)
_LEAST_EDGE = 1e-3
"""Luma a pixel: a quarter of a grey level. What is weaker is rounding, which differs from processor to processor."""
_MOST_EXCESS = 1000.0
"""Of pictures whose edges are all level and upright, such as drawings."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one photo; sRGB values in 0..1."""

    detail: float
    """Mean absolute difference of neighbouring luma, both directions added."""
    fine_detail: float
    """Part of that which a blur of sigma 1 px takes away: what was blurred already has little left to lose."""
    luma: float
    """Mean."""
    bright: float
    """Share of pixels of which a channel is at 0.98 or more."""
    dark: float
    """Share of pixels of which all channels are at 0.03 or less."""
    chroma: float
    """Mean of (largest minus smallest channel)."""
    edge_degrees: int
    """The commonest direction of strong edges, -45..45 around the nearer of level and upright."""
    edge_excess: float
    """How much commoner directions within 2 degrees of level and upright are than those 8 to 15 degrees away."""


def measures(picture: Image.Image) -> Measures:
    """Of an upright RGB photo."""
    scale = _SIDE_PX / min(picture.size)
    small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32) / 255
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    detail = _detail(luma)
    degrees, excess = _edges(luma)
    return Measures(
        detail=detail,
        fine_detail=1 - _detail(gaussian_filter(luma, 1.0)) / detail if detail else 0.0,
        luma=float(luma.mean()),
        bright=float((pixels.max(2) >= 0.98).mean()),
        dark=float((pixels.max(2) <= 0.03).mean()),
        chroma=float(np.ptp(pixels, axis=2).mean()),
        edge_degrees=degrees,
        edge_excess=excess,
    )


def _detail(luma: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())


def _edges(luma: NDArray[np.float32]) -> tuple[int, float]:
    down, across = np.gradient(gaussian_filter(luma, 1.5))
    strength = np.hypot(down, across)
    is_strong = strength > max(np.quantile(strength, 0.9), _LEAST_EDGE)
    if not is_strong.any():
        return 0, 0.0
    degrees = (np.degrees(np.arctan2(down, across)) + 45) % 90 - 45
    shares, _ = np.histogram(degrees[is_strong], np.arange(-45.5, 46.5), weights=strength[is_strong])
    smooth = np.convolve(np.concatenate([shares[-1:], shares, shares[:1]]), np.ones(3) / 3, "valid")
    at = dict(zip(_ALL, smooth, strict=True))
    away = float(np.median([at[sign * angle] for sign in (-1, 1) for angle in range(8, 16)]))
    near = float(max(at[angle] for angle in range(-2, 3)))
    excess = near / max(away, near / _MOST_EXCESS) if near else 0.0
    return max(_ALL, key=lambda angle: at[angle]), excess


def fit_for(attribute: str, measured: Measures) -> bool:
    """Whether known damage to this photo says what its grade of the attribute must become."""
    is_exposed = 0.3 <= measured.luma <= 0.6 and measured.bright <= 0.1 and measured.dark <= 0.05
    match attribute:
        case "clarity":
            return measured.detail >= 0.02 and measured.fine_detail >= 0.4
        case "exposure":
            return is_exposed
        case "saturation":
            return is_exposed and 0.07 <= measured.chroma <= 0.2
        case "level_shot":
            return abs(measured.edge_degrees) <= 1 and measured.edge_excess >= 2.0
    raise KeyError(attribute)
