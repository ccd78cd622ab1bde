"""Rated photos: the raters' means where there are any, the teacher's guess elsewhere, and what the teacher saw."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training import photos, pieces, teacher
from training.batches import Rated
from training.lite0 import Lite0


@dataclass(frozen=True, slots=True)
class Gallery:
    """All photos to train on; tables have one row per photo of the data folder, PARA's first."""

    rated: list[Rated]
    """Without the held-out ones."""
    features: NDArray[np.float32]
    """(photos, 1280), the teacher's."""
    logits: NDArray[np.float32]
    """(photos, 1000), the teacher's ImageNet classes."""


def gallery(data: Path, runs: Path) -> Gallery:
    """Reads the data folder; the teacher's look at it (minutes) is kept in runs."""
    para, sharp = photos.para_photos(data), photos.open_photos(data)
    cache = runs / "teacher.npz"
    if not cache.exists():
        lite0 = Lite0(pieces.fetch(pieces.LITE0, runs / "pieces"))
        features, logits = teacher.look([*para, *sharp], lite0)
        files = np.array([photo.file for photo in (*para, *sharp)])
        teacher.save(cache, features=features.astype(np.float16), logits=logits.astype(np.float16), files=files)
    with np.load(cache) as kept:
        if kept["files"].tolist() != [photo.file for photo in (*para, *sharp)]:
            raise ValueError(f"{cache} was made from other photos than {data}; remove it")
        features, logits = kept["features"].astype(np.float32), kept["logits"].astype(np.float32)
    means = np.array([[photo.mos, photo.quality] for photo in para], np.float64)
    learnt = np.array([not photo.is_held_out for photo in para])
    guess = teacher.Ridge(features[: len(para)][learnt], means[learnt])(features[len(para) :])
    every = np.concatenate([means, guess])
    rated = [
        Rated(photo, row, float(every[row, 0]), float(every[row, 1]))
        for row, photo in enumerate((*para, *sharp))
        if not photo.is_held_out
    ]
    return Gallery(rated, features, logits)
