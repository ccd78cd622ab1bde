"""The auxiliary head: merged tokens -> the ten labels, the turn of the camera, and what the teacher sees and judges.

Thrown away after training. The turn is asked in degrees with its sign: one linear layer cannot tell "turned either way"
apart from "level", but it can tell left from right, and that teaches the tower to see either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batches import TRUTH_NAMES, Picture, truth_vector
from training.distillation import TeacherTargets
from training.taps import CHANNELS

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


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What the head says of a batch."""

    labels: Tensor
    """(batch, 10) in their own units."""
    judged: Tensor
    """(batch, 2), the teacher's judgement."""
    turn: Tensor
    """(batch,) degrees."""
    taps: Tensor
    """(batch, tokens, 784), the teacher's taps at each token."""


class Head(nn.Module):
    """Mean and standard deviation over tokens, then one linear layer; another one at each token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(2 * width)
        self.linear = nn.Linear(2 * width, len(TRUTH_NAMES) + 3)
        self.token_norm = nn.LayerNorm(width)
        self.taps = nn.Linear(width, CHANNELS)

    def forward(self, tokens: Tensor) -> HeadOutput:
        """tokens (batch, tokens, width)."""
        tokens = tokens.float()
        out = self.linear(self.norm(torch.cat([tokens.mean(1), tokens.std(1)], dim=1)))
        spread, centre = _SPREAD.to(out.device), _CENTRE.to(out.device)
        labels = out[:, : len(TRUTH_NAMES)] * spread + centre
        return HeadOutput(labels, out[:, -3:-1], out[:, -1] * _TURN_DEGREES, self.taps(self.token_norm(tokens)))


def head_loss(
    output: HeadOutput,
    pictures: Sequence[Picture],
    teacher_targets: TeacherTargets | None,
    visible: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Squared error of labels and turn, of the teacher's targets (where there are any), and the error of differences
    within pairs.

    visible: places of the tokens that the head was shown, None for all.

    -> (loss, its parts for the log).
    """
    labels = output.labels
    wanted = torch.from_numpy(np.stack([truth_vector(picture.truth) for picture in pictures])).to(labels.device)
    errors = ((labels - wanted) / _SPREAD.to(labels.device)).square()
    pair = pair_loss(labels, wanted, pictures)
    turned = torch.tensor([picture.made.tilt_degrees for picture in pictures], device=labels.device)
    turning = ((output.turn - turned) / _TURN_DEGREES).square().mean()
    loss = (errors * _WEIGHT.to(labels.device)).mean() + 0.5 * pair + _TURN_WEIGHT * turning
    parts = {"turn": turning, "score": errors[:, 0].mean(), "pair": pair}
    if teacher_targets is not None:
        # The mean over the picture is what the teacher's judgement is made of; the tokens say where it comes from.
        mean = functional.mse_loss(output.taps.mean(1), teacher_targets.means.to(labels.device))
        judged = functional.mse_loss(output.judged, teacher_targets.judged.to(labels.device))
        loss = loss + mean + judged
        parts |= {"mean": mean, "judged": judged}
        if teacher_targets.grids is not None:
            grids = teacher_targets.grids.to(labels.device)
            dense = functional.smooth_l1_loss(output.taps, (grids if visible is None else grids[:, visible]).float())
            loss = loss + 2 * dense
            parts["dense"] = dense
    return loss, {name: float(value.detach()) for name, value in parts.items()}


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
