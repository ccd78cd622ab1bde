"""The loss of the written answers."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from training.lessons import Lesson


def lesson_loss(logits: Tensor, lesson: Lesson, digits: Tensor) -> tuple[Tensor, Mapping[str, float]]:
    """Cross entropy of the soft targets, error of the expected first digit, and of its differences within pairs.

    logits (targets, vocabulary) float32; digits (10,) int64, the tokens of 0..9; all on the device of the forest.
    """
    trees = lesson.forest
    entropy = -(trees.wanted * logits.log_softmax(-1)).sum(-1)
    words = (entropy * trees.weights).sum() / trees.weights.sum()
    if not trees.digits.numel():
        return words, {"words": float(words.detach())}
    tens = logits[trees.digits][..., digits].softmax(-1)
    expected = tens @ (torch.arange(10, device=tens.device) + 0.5)
    level = functional.smooth_l1_loss(expected, trees.expected, beta=0.5)
    pairs = sum(1 for picture in lesson.pictures if picture.kind)
    steps = (trees.expected[0:pairs:2] - trees.expected[1:pairs:2]).clamp(min=0)
    error = (expected[0:pairs:2] - expected[1:pairs:2] - steps) / (0.3 + steps)
    pair = functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.5) if pairs else expected.sum() * 0
    loss = words + 0.3 * level + 0.6 * pair
    return loss, {"words": float(words.detach()), "level": float(level.detach()), "pair": float(pair.detach())}
