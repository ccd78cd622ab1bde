"""A tree of conversations gives each branch what transformers gives it alone."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Qwen2VLForConditionalGeneration

from tests.training.conftest import picture_of
from training.forward import answer_logits, vision_tokens
from training.rows import Writer
from training.tower import CLIP_MEAN, CLIP_STD
from training.tree import forest


def patches_of(frames: NDArray[np.uint8]) -> torch.Tensor:
    """(frames, height, width, 3) uint8 -> rows of pixels in transformers' order."""
    x = (torch.from_numpy(frames).float() / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    x = x if len(x) > 1 else x.expand(2, -1, -1, -1)
    pairs, height, width = len(x) // 2, x.shape[1], x.shape[2]
    cut = x.reshape(pairs, 2, height // 28, 2, 14, width // 28, 2, 14, 3).permute(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return cut.reshape(pairs * height * width // 196, -1)


@pytest.mark.parametrize("frames", [1, 4])
@torch.no_grad()
def test_each_branch_reads_as_a_conversation_of_its_own(
    writer: Writer, model: Qwen2VLForConditionalGeneration, frames: int
) -> None:
    picture = picture_of(frames=frames)
    grid = ((frames + 1) // 2, 4, 6)
    prefix = writer.prefix(frames > 1, grid[0] * 6)
    vision = slice(len(prefix) - 1 - grid[0] * 6, len(prefix) - 1)
    rng = np.random.default_rng(0)
    branches = [writer.branch(picture, "direct", rng), writer.branch(picture, "natural", rng)]
    trees = forest(prefix, vision, grid, [branches], model.lm_head.out_features)
    ours = answer_logits(model, vision_tokens(model, [picture]), trees)[-1]

    ids = torch.tensor([[*prefix, *branches[1].ids]])
    pad = model.config.video_token_id if frames > 1 else model.config.image_token_id
    kind = "video" if frames > 1 else "image"
    theirs = model(
        input_ids=ids,
        mm_token_type_ids=(ids == pad).int() * (2 if frames > 1 else 1),
        **{
            "pixel_values_videos" if frames > 1 else "pixel_values": patches_of(picture.frames),
            f"{kind}_grid_thw": torch.tensor([grid]),
        },
    ).logits[0, -2]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
