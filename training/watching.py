"""Watching: what the teacher sees in a batch of pictures, and at which of their tokens the model is to see it too.

The teacher looks at every crop and every damage afresh, at the picture's own detail. Of most pictures only half of the
tokens are computed, which halves the cost of all that learns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.batches import Picture
from training.taps import Taps
from training.teacher import TapRegression
from training.tower import MERGE, PATCH_PX

_KEPT_SHARE = 0.5
_WHOLE_SHARE = 0.25
"""Of the batches, in which every token is computed, as it is when the model is served."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the teacher sees."""

    grids: Tensor
    """(batch, tokens, 784) float16, each tap in units of its spread over photos."""
    judged: Tensor
    """(batch, 2) float32: looks and quality, as training/teacher.py judges them."""


class Teacher:
    """Compiled by the process that first asks it: a compiled network does not survive a fork."""

    def __init__(self, make: Callable[[], Taps], judge: TapRegression) -> None:
        self._make, self._judge = make, judge
        self._taps: Taps | None = None

    def watch(self, pictures: Sequence[Picture]) -> Watched:
        """Stills of one size, that still have their native pixels."""
        self._taps = self._taps or self._make()
        _, height_px, width_px, _ = pictures[0].frames.shape
        grid = (height_px // PATCH_PX // MERGE, width_px // PATCH_PX // MERGE)
        seen = [self._taps(picture.native, grid) for picture in pictures if picture.native is not None]
        grids = [(each.grid - self._judge.mean) / self._judge.std for each in seen if each.grid is not None]
        judged = self._judge(np.stack([each.means for each in seen]))
        table = torch.from_numpy(np.stack(grids)).clamp(-20, 20).half()
        return Watched(table, torch.from_numpy(judged).float())


def kept_tokens(picture: Picture, rng: np.random.Generator) -> Tensor | None:
    """Places of the tokens of a still that are computed, in order; None for all."""
    frames, height_px, width_px, _ = picture.frames.shape
    if frames > 1 or rng.random() < _WHOLE_SHARE:
        return None
    tokens = height_px * width_px // (PATCH_PX * MERGE) ** 2
    return torch.from_numpy(np.sort(rng.permutation(tokens)[: round(tokens * _KEPT_SHARE)]))
