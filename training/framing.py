"""Framing: which part of a photo is shown, turned by how much, and at which size. No view shows a black corner."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from assay.checkpoint import Pixels as Budget
from training.degrade import Pixels


@dataclass(frozen=True, slots=True)
class Framing:
    """A part of a photo, at the photo's own detail."""

    pixels: Pixels
    tilt_degrees: float = 0.0
    cut: float = 0.0
    """0: the photo's middle is in it; 1: an edge runs through the photo's middle."""


def turn(pixels: Pixels, degrees: float, room_degrees: float, height_px: int, width_px: int) -> Framing:
    """Turned by `degrees`, cropped as if it had been turned by `room_degrees`, in the aspect of the size given.

    Half a pixel of shift makes a level photo pass through the same interpolation, so that softness gives nothing away.
    """
    height, width = pixels.shape[:2]
    aspect = width_px / height_px
    shift = (0.5, 0.5)
    whole = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, translate=shift)  # type: ignore[arg-type]  # any numbers will do
    sine, cosine = np.sin(np.radians(room_degrees)), np.cos(np.radians(room_degrees))
    # The largest crop of this aspect that stays inside a rectangle turned about its middle, less the interpolation's
    # own border.
    crop = min(height / (cosine + aspect * sine), width / (aspect * cosine + sine)) - 3
    return Framing(
        _cropped(np.asarray(whole), (height - crop) / 2, (width - crop * aspect) / 2, crop, crop * aspect), degrees
    )


def framed(pixels: Pixels, height_px: int, width_px: int, rng: np.random.Generator) -> Framing:
    """A view in the aspect of the size given: the whole, a crop, a turned one, or one that cuts the middle off.

    A small photo is not cropped further: that would only blur it. A squashed one (no larger than 224 px) is shown
    whole in any aspect, as its own is not known.
    """
    height, width = pixels.shape[:2]
    is_small = max(height, width) <= 224
    aspect = width_px / height_px
    draw = rng.random()
    if draw < 0.14:
        tilt = float(rng.uniform(2.5, 14) * rng.choice((-1, 1)))
        return turn(pixels, tilt, abs(tilt), height_px, width_px)
    if draw < 0.24:
        return turn(pixels, float(rng.uniform(-1, 1)), float(rng.uniform(2, 12)), height_px, width_px)
    if is_small:
        return Framing(np.ascontiguousarray(pixels))
    full_height = min(height, width / aspect)
    if draw < 0.36 and full_height * 0.5 > height_px * 0.8:
        return Framing(_through_middle(pixels, full_height * 0.5, aspect, rng), cut=1.0)
    least = min(1.0, max(0.7, height_px / full_height))
    crop_height = full_height * float(rng.uniform(least, 1.0))
    top, left = np.array([height - crop_height, width - crop_height * aspect]).clip(0) * rng.random(2)
    return Framing(_cropped(pixels, top, left, crop_height, crop_height * aspect))


def _through_middle(pixels: Pixels, crop_height: float, aspect: float, rng: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    crop_width = min(crop_height * aspect, width / 2)
    left = width / 2 if rng.random() < 0.5 else width / 2 - crop_width
    return _cropped(pixels, (height - crop_height) * rng.random(), left, crop_height, crop_width)


def _cropped(pixels: Pixels, top: float, left: float, height: float, width: float) -> Pixels:
    y, x = max(0, round(top)), max(0, round(left))
    return np.ascontiguousarray(pixels[y : y + max(8, round(height)), x : x + max(8, round(width))])


def resized(pixels: Pixels, height_px: int, width_px: int) -> Pixels:
    """Bicubic with antialiasing, as the picture is resized when it is served."""
    if pixels.shape[:2] == (height_px, width_px):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC))


def enlarged(pixels: Pixels, area_px: int) -> Pixels:
    """A picture below the area, brought up to it, as the gateway does where `enlarge_first_pixels` says so."""
    height_px, width_px, _ = pixels.shape
    if height_px * width_px >= area_px:
        return pixels
    factor = math.sqrt(area_px / (height_px * width_px))
    height_px, width_px = (max(1, round(side * factor)) for side in (height_px, width_px))
    return resized(pixels, height_px, width_px)


def served(pixels: Pixels, budget: Budget) -> Pixels:
    """The picture at the size the model gets, by the rule of Qwen2-VL's processor."""
    pixels = enlarged(pixels, budget.enlarge_first_pixels or 0)
    height_px, width_px, _ = pixels.shape
    return resized(pixels, *smart_resize(height_px, width_px, budget.factor_px, budget.min_pixels, budget.max_pixels))
