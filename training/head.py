"""The auxiliary head: pooled merged tokens -> the ten labels, the teacher's features and the turn of the camera.

Thrown away after training. The turn is asked in degrees with its sign: one linear layer cannot tell "turned either way"
apart from "level", but it can tell left from right, and that teaches the tower to see either.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.batches import TRUTH_NAMES, Picture, truth_vector

# Mean and spread of each label over a few thousand training pictures, so that all weigh alike.
_CENTRE = torch.tensor([5.2, 5.8, 5.6, 2.5, 0.9, 1.0, 1.46, 2.6, 2.5, 2.2])
_SPREAD = torch.tensor([2.0, 1.5, 1.7, 0.4, 0.8, 0.8, 0.25, 1.0, 0.85, 1.1])
_WEIGHT = torch.tensor([3.0, 1.0, 1.0, 0.5, 0.4, 0.4, 1.0, 1.5, 1.5, 1.0])
_TURN_DEGREES, _TURN_WEIGHT = 5.0, 3.0
# The labels that a kind of degradation must move, besides the score.
_MOVED = {
    **dict.fromkeys(("blur", "motion", "downscale", "noise", "jpeg", "webp"), "clarity"),
    **dict.fromkeys(("underexpose", "overexpose"), "exposure"),
    **dict.fromkeys(("desaturate", "oversaturate"), "saturation"),
    "tilt": "level_shot",
}


class PooledHead(nn.Module):
    """Mean and standard deviation over tokens, then one linear layer."""

    def __init__(self, width: int, teacher_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width)
        self.linear = nn.Linear(2 * width, len(TRUTH_NAMES) + teacher_features + 1)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, tokens, width) -> labels (batch, 10) in their own units, teacher features (batch, features), turn
        (batch,) in degrees."""
        tokens = tokens.float()
        pooled = torch.cat([tokens.mean(1), tokens.std(1)], dim=1)
        out = self.linear(self.norm(pooled))
        spread, centre = _SPREAD.to(out.device), _CENTRE.to(out.device)
        labels = out[:, : len(TRUTH_NAMES)] * spread + centre
        return labels, out[:, len(TRUTH_NAMES) : -1], out[:, -1] * _TURN_DEGREES


def head_loss(
    labels: Tensor, features: Tensor, turn: Tensor, pictures: Sequence[Picture], teacher: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Squared error of labels, features and turn, plus the error of differences within pairs.

    labels, features, turn: the head's; teacher: (batch, features).

    -> (loss, its parts for the log).
    """
    wanted = torch.from_numpy(np.stack([truth_vector(picture.truth) for picture in pictures])).to(labels.device)
    errors = ((labels - wanted) / _SPREAD.to(labels.device)).square()
    copied = functional.mse_loss(features, teacher)
    pair = pair_loss(labels, wanted, pictures)
    turned = torch.tensor([picture.made.tilt_degrees for picture in pictures], device=turn.device)
    turning = ((turn - turned) / _TURN_DEGREES).square().mean()
    parts = {
        "turn": float(turning.detach()),
        "score": float(errors[:, 0].detach().mean()),
        "teacher": float(copied.detach()),
        "pair": float(pair.detach()),
    }
    return (errors * _WEIGHT.to(labels.device)).mean() + 1.0 * copied + 0.5 * pair + _TURN_WEIGHT * turning, parts


def pair_loss(labels: Tensor, wanted: Tensor, pictures: Sequence[Picture]) -> Tensor:
    """How wrong the differences within pairs are, relative to their size: small steps count as much as large ones."""
    losses = []
    for index in range(0, len(pictures) - 1, 2):
        kind = pictures[index].kind
        if not kind:
            break
        for name in ("score", *([_MOVED[kind]] if kind in _MOVED else [])):
            place = TRUTH_NAMES.index(name)
            step = wanted[index, place] - wanted[index + 1, place]
            error = labels[index, place] - labels[index + 1, place] - step
            losses.append(functional.smooth_l1_loss(error / (0.3 + step.abs()), torch.zeros_like(error), beta=0.5))
    return torch.stack(losses).mean() if losses else labels.sum() * 0


def teacher_targets(features: NDArray[np.float32], kept: int) -> Tensor:
    """The teacher's features (photos, 1280) on their first principal axes, (photos, kept), of unit mean variance."""
    x = torch.from_numpy(features.astype(np.float32))
    x = (x - x.mean(0)) / (x.std(0) + 0.05)
    _, _, axes = torch.pca_lowrank(x, q=kept, niter=4)
    projected = x @ axes
    # Half-whitened: the large axes lead, the small ones are still asked for.
    projected = projected / projected.std(0).sqrt()
    return projected / projected.std()
