"""Forward: a batch of trees through the model, the vision tower run once for each picture."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from training.batches import Picture
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
