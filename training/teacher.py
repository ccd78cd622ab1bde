"""What the teacher says of every photo, computed once: features, ImageNet logits, pixel statistics, a guessed MOS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.lite0 import SIDE_PX, Lite0
from training.photos import Photo

_RIDGE = 300.0


def look(photos: Sequence[Photo], lite0: Lite0, batch: int = 32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (photos, 1280) and logits (photos, 1000) of the photos squashed to 224 x 224."""
    features, logits = [], []
    for start in range(0, len(photos), batch):
        pixels = np.stack([_squashed(photo) for photo in photos[start : start + batch]])
        pooled, classes = lite0(pixels)
        features.append(pooled.numpy())
        logits.append(classes.numpy())
        print(f"teacher {min(start + batch, len(photos))}/{len(photos)}", flush=True)
    return np.concatenate(features), np.concatenate(logits)


def _squashed(photo: Photo) -> NDArray[np.uint8]:
    picture = Image.fromarray(photo.decode())
    # Squashed, not cropped: PARA's photos come that way, and the ridge is fitted on them.
    return np.asarray(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


class Ridge:
    """Linear regression from teacher features to the raters' means; guesses the MOS of photos that nobody rated."""

    def __init__(self, features: NDArray[np.float32], targets: NDArray[np.float64]) -> None:
        """features (photos, 1280), targets (photos, any)."""
        self.mean, self.std = features.mean(0), features.std(0) + 1e-3
        x = (features - self.mean) / self.std
        self.offset = targets.mean(0)
        gram = x.T @ x + _RIDGE * np.eye(x.shape[1], dtype=np.float32)
        self.weights = np.linalg.solve(gram.astype(np.float64), x.T @ (targets - self.offset))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray((features - self.mean) / self.std @ self.weights + self.offset)


def save(file: Path, **arrays: NDArray[np.generic]) -> None:
    """Atomically, so that a killed run never leaves half a cache behind."""
    temporary = file.with_suffix(".part.npz")
    np.savez(temporary, **arrays)
    temporary.replace(file)
