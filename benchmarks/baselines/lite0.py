"""EfficientNet-lite0, frozen as ImageNet left it, and a ridge regression from its taps to the raters' means."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.photos import Photo, para_photos
from training.rated import gallery
from training.teacher import TapRegression

TARGETS = ("aesthetic", "quality")


@dataclass(frozen=True, slots=True)
class Judged:
    """The held-out photos, what people said of them, and what the ridge says."""

    photos: list[Photo]
    mos: dict[str, NDArray[np.float64]]
    """Target -> mean of about 25 raters, 1..5."""
    scores: dict[str, NDArray[np.float64]]
    """Target -> in standard deviations."""
    trained_on: int
    """Photos that the ridge was fitted to, none of them held out."""


def judged(data: Path, runs: Path) -> Judged:
    """The teacher's taps are computed once (minutes on two cores) and stored in `runs`, in the recipe's own format."""
    photos = para_photos(data)
    features = gallery(data, runs).features[: len(photos)]
    is_held_out = np.array([photo.is_held_out for photo in photos])
    means = np.array([[photo.mos, photo.quality] for photo in photos], np.float64)
    said = TapRegression([(features[~is_held_out], means[~is_held_out], 1.0)], None)(features[is_held_out])
    return Judged(
        [photo for photo in photos if photo.is_held_out],
        {name: means[is_held_out, column] for column, name in enumerate(TARGETS)},
        {name: said[:, column] for column, name in enumerate(TARGETS)},
        int((~is_held_out).sum()),
    )
