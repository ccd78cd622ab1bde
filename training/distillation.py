"""Distillation: what the teacher sees in a batch of pictures, and at which of their tokens the model is to see it too.

The teacher looks at every crop and every damage afresh, at the picture's own detail. Of most pictures only two fifths
of the tokens are computed, and so much is the cost of all that learns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batches import Picture
from training.taps import Taps
from training.teacher import TapRegression
from training.tower import MERGE, PATCH_PX

_VISIBLE_SHARE = 0.4
_WHOLE_SHARE = 0.15
"""Of the batches, in which every token is computed, as it is when the model is served."""


@dataclass(frozen=True, slots=True)
class TeacherTargets:
    """What the teacher sees."""

    grids: Tensor | None
    """(batch, tokens, 784) float16, each tap in units of its spread over photos; None where the means are all."""
    means: Tensor
    """(batch, 784) float32, the same over the whole picture."""
    judged: Tensor
    """(batch, 2) float32: looks and quality, as training/teacher.py judges them."""


class Teacher:
    """Compiled by the process that first asks it: a compiled network does not survive a fork."""

    def __init__(self, make: Callable[[], Taps], judge: TapRegression, features: NDArray[np.float32]) -> None:
        """features: (photos, 784), what it saw of every photo as it is, by Picture.row."""
        self._make, self._judge, self._features = make, judge, features
        self._taps: Taps | None = None

    def targets(self, pictures: Sequence[Picture]) -> TeacherTargets:
        """Stills of one size, that still have their native pixels or are photos as they are."""
        if pictures[0].is_plain:
            return self._of_means(None, self._features[[picture.row for picture in pictures]])
        self._taps = self._taps or self._make()
        _, height_px, width_px, _ = pictures[0].frames.shape
        grid = (height_px // PATCH_PX // MERGE, width_px // PATCH_PX // MERGE)
        readings = [self._taps(picture.native, grid) for picture in pictures if picture.native is not None]
        grids = [(each.grid - self._judge.mean) / self._judge.std for each in readings if each.grid is not None]
        table = torch.from_numpy(np.stack(grids)).clamp(-20, 20).half()
        return self._of_means(table, np.stack([each.means for each in readings]))

    def _of_means(self, grids: Tensor | None, means: NDArray[np.float32]) -> TeacherTargets:
        units = torch.from_numpy((means - self._judge.mean) / self._judge.std).float()
        return TeacherTargets(grids, units, torch.from_numpy(self._judge(means)).float())


def visible_tokens(picture: Picture, rng: np.random.Generator) -> Tensor | None:
    """Places of the tokens of a still that are computed, in order; None for all."""
    frames, height_px, width_px, _ = picture.frames.shape
    if frames > 1 or rng.random() < _WHOLE_SHARE:
        return None
    tokens = height_px * width_px // (PATCH_PX * MERGE) ** 2
    return torch.from_numpy(np.sort(rng.permutation(tokens)[: round(tokens * _VISIBLE_SHARE)]))
