"""What the teacher says of every photo, computed once: taps, ImageNet logits, and a linear judgement of quality.

The judgement is one ridge regression on the taps. It is fitted on people's ratings, and on ranks within a photo along
damage of known strength: photos rated at 224 px alone would teach that noise is detail (training/LOG.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.tables import BadDataSet
from training import degrade, pieces
from training.degrade import Degradation
from training.lite0 import Lite0
from training.photos import Photo
from training.taps import Taps

Floats = NDArray[np.float32]
_SIDE_PX = 224
_RIDGE = 600.0
_LADDERS: dict[str, Sequence[float]] = {
    "blur": (1.0, 2.5, 6.0),
    "noise": (12, 40, 90),
    "jpeg": (45, 18, 6),
    "underexpose": (1.0, 2.2, 3.8),
    "overexpose": (0.7, 1.5, 2.6),
    "desaturate": (0.6, 0.3, 0.0),
    "downscale": (1.5, 3.0, 6.0),
    "motion": (6, 14, 30),
}


@dataclass(frozen=True, slots=True)
class Ranked:
    """Taps along ladders of damage, four steps a ladder, the untouched photo first."""

    means: Floats
    """(ladders, 4, 784)"""


def look(photos: Sequence[Photo], taps: Taps, every: int = 500) -> tuple[Floats, Floats]:
    """Taps (photos, 784) at native detail, and logits (photos, 1000) of the photos squashed to 224 x 224, as the
    network was trained: of larger ones it is sure of nothing."""
    means, logits = [], []
    for place, photo in enumerate(photos, start=1):
        pixels = photo.decode()
        means.append(taps(pixels).means)
        small = Image.fromarray(pixels).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.BICUBIC)
        logits.append(taps(np.asarray(small)).logits)
        if place % every == 0 or place == len(photos):
            print(f"teacher {place}/{len(photos)}", flush=True)
    return np.stack(means), np.stack(logits)


def ladders(photos: Sequence[Photo], taps: Taps, kinds_each: int, seed: int = 0) -> Ranked:
    """Each photo along some ladders drawn for it."""
    found = []
    for place, photo in enumerate(photos):
        rng = np.random.default_rng((seed, place))
        pixels = photo.decode()
        first = taps(pixels).means
        for kind in rng.choice(list(_LADDERS), kinds_each, replace=False):
            steps = [degrade.degraded(pixels, Degradation(str(kind), a), rng) for a in _LADDERS[str(kind)]]
            found.append(np.stack([first, *(taps(step).means for step in steps)]))
    return Ranked(np.stack(found))


class TapRegression:
    """Linear regression from taps to two qualities in units of standard deviations: looks, and technical quality."""

    def __init__(
        self,
        groups: Sequence[tuple[Floats, NDArray[np.float64], float]],
        ranked: Ranked | None,
        unrated: Floats | None = None,
    ) -> None:
        """groups: (taps (photos, 784), targets (photos, 2), share of the weight) of each collection; the targets of
        each are standardised by themselves, as every collection has a scale of its own. Where there is none, ranks
        alone are learnt, and taps are standardised over `unrated` (photos, 784)."""
        every = np.concatenate([means for means, _, _ in groups]) if groups or unrated is None else unrated
        self.mean, self.std = every.mean(0), every.std(0) + 1e-3
        rows = sum(len(means) for means, _, _ in groups)
        parts = []
        for means, targets, share in groups:
            weight = share * rows / len(means)
            x = (means - self.mean) / self.std
            parts.append((x - x.mean(0), (targets - targets.mean(0)) / targets.std(0), weight))
        if ranked is not None:
            steps = (ranked.means - ranked.means.mean(1, keepdims=True)) / self.std
            target = np.tile(np.array([1.5, 0.5, -0.5, -1.5])[:, None], (len(steps), 1, 2))
            weight = 0.08 * rows / (len(steps) * 4) if rows else 1.0
            parts.append((steps.reshape(-1, steps.shape[-1]), target.reshape(-1, 2), weight))
        gram = _RIDGE * np.eye(every.shape[1])
        product = np.zeros((every.shape[1], 2))
        for x, y, weight in parts:
            gram += weight * (x.T.astype(np.float64) @ x)
            product += weight * (x.T.astype(np.float64) @ y)
        self.weights = np.linalg.solve(gram, product)

    def __call__(self, means: Floats) -> NDArray[np.float64]:
        """(photos, 784) -> (photos, 2); 0 is the mean of all photos that it was fitted on."""
        return np.asarray((means - self.mean) / self.std @ self.weights)


def cached(
    photos: Sequence[Photo], runs: Path, make: Callable[[Taps], Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """What `make` finds in the photos, or found when it was last asked about them: that is in runs. BadDataSet if what
    is there was made from others."""
    file, names = runs / "teacher.npz", [photo.file for photo in photos]
    if not file.exists():
        save(file, files=np.array(names), **make(Taps(Lite0(pieces.fetch(pieces.LITE0, runs / "pieces")))))
    with np.load(file) as stored:
        if stored["files"].tolist() != names:
            raise BadDataSet(f"{file} was made from other photos; choose another --runs or remove it")
        return dict(stored)


def save(file: Path, **arrays: NDArray[np.generic]) -> None:
    """Atomically, so that a killed run never leaves half a cache behind."""
    temporary = file.with_suffix(".part.npz")
    np.savez(temporary, **arrays)
    temporary.replace(file)
