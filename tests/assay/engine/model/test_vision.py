from collections.abc import Callable
from typing import get_args

import pytest
import torch

from assay.engine.model.loading import LoadedModel
from assay.engine.model.vision import VisionTower, VisionWeights
from assay.frame import Clip


def _pairs(checkpoint: LoadedModel, clip: Clip) -> torch.Tensor:
    time, rows, columns = checkpoint.layout.patches(clip).grid_thw
    return torch.from_numpy(checkpoint.layout.patches(clip).pixel_values).view(time, rows * columns, -1)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 5])
def test_embeddings_are_those_of_transformers(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], frames: int
) -> None:
    clip = make_clip(frames, is_video=frames > 1, height=112, width=56)
    tower, grid = checkpoint.model.model.visual, torch.tensor([checkpoint.layout.patches(clip).grid_thw])
    theirs = tower(_pairs(checkpoint, clip).flatten(0, 1), grid_thw=grid).pooler_output
    mine = VisionTower(tower).embed(_pairs(checkpoint, clip), 8, 4).flatten(0, 1)
    torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("weights", get_args(VisionWeights))
def test_a_frame_pair_looks_the_same_to_the_last_bit_in_any_clip(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], weights: VisionWeights
) -> None:
    vision, pairs = VisionTower(checkpoint.model.model.visual, weights), _pairs(checkpoint, make_clip(8, is_video=True))
    together = vision.embed(pairs, 4, 6)
    assert all(torch.equal(vision.embed(pairs[n : n + 1], 4, 6)[0], together[n]) for n in range(4))


@torch.inference_mode()
@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_embeddings_of_rounded_weights_stay_close(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], weights: VisionWeights
) -> None:
    tower, pairs = checkpoint.model.model.visual, _pairs(checkpoint, make_clip(1, height=112, width=56))
    stored, rounded = VisionTower(tower).embed(pairs, 8, 4), VisionTower(tower, weights).embed(pairs, 8, 4)
    assert 0 < float((rounded - stored).norm() / stored.norm()) < 0.05
