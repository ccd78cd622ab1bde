"""Forward: a batch of trees through the model, the vision tower run once for each picture; and the answers' loss."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Qwen2VLForConditionalGeneration

from training.batches import Picture
from training.lessons import Lesson
from training.tower import dense_tower, normalised
from training.tree import Forest


def vision_tokens(
    model: Qwen2VLForConditionalGeneration, pictures: Sequence[Picture], visible: Tensor | None = None
) -> Tensor:
    """(batch, tokens, width): all temporal patches of a video one after the other; of a still, the visible tokens."""
    frames = torch.from_numpy(np.stack([picture.frames for picture in pictures])).to(model.device)
    batch, count = frames.shape[:2]
    if count == 1:
        return dense_tower(model.model.visual, normalised(frames[:, 0]), visible=visible)
    first, second = frames[:, 0::2].flatten(0, 1), frames[:, 1::2].flatten(0, 1)
    tokens = dense_tower(model.model.visual, normalised(first), normalised(second))
    return tokens.reshape(batch, -1, tokens.shape[-1])


def answer_logits(model: Qwen2VLForConditionalGeneration, tokens: Tensor, trees: Forest) -> Tensor:
    """(targets, vocabulary) float32: what the model would write at every place of every answer."""
    embedded = model.model.language_model.embed_tokens(trees.ids)
    embedded = torch.cat([embedded[:, : trees.vision.start], tokens.float(), embedded[:, trees.vision.stop :]], dim=1)
    hidden = model.model.language_model(
        inputs_embeds=embedded,
        position_ids=trees.positions,
        attention_mask={"full_attention": trees.mask},
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = model.lm_head(hidden[trees.rows, trees.places]).float()
    return logits


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
