"""Served: the size at which the model gets a picture, by the rule of Qwen2-VL's processor."""

import math

from assay.checkpoint import Pixels as Budget
from training.batches import enlarged, resized
from training.degrade import Pixels


def served_size(height_px: int, width_px: int, budget: Budget) -> tuple[int, int]:
    """(height, width): multiples of the merged patch, area within the budget, aspect as near as that allows."""
    factor = budget.factor_px
    height, width = (max(factor, round(side / factor) * factor) for side in (height_px, width_px))
    area = height_px * width_px
    if height * width > budget.max_pixels:
        shrink = math.sqrt(area / budget.max_pixels)
        height, width = (max(factor, math.floor(side / shrink / factor) * factor) for side in (height_px, width_px))
    elif height * width < budget.min_pixels:
        grow = math.sqrt(budget.min_pixels / area)
        height, width = (math.ceil(side * grow / factor) * factor for side in (height_px, width_px))
    return height, width


def served(pixels: Pixels, budget: Budget) -> Pixels:
    """The picture at the size the model gets."""
    pixels = enlarged(pixels, budget.enlarge_first_pixels or 0)
    height_px, width_px, _ = pixels.shape
    return resized(pixels, *served_size(height_px, width_px, budget))
