from collections.abc import Callable
from typing import get_args

import pytest
import torch

from assay.engine.model.linear import threads
from assay.engine.model.loading import LoadedModel
from assay.engine.model.number_format import NumberFormat
from assay.engine.model.vision import VisionTower, vision_of
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
@pytest.mark.parametrize("number_format", get_args(NumberFormat))
def test_a_frame_pair_looks_the_same_to_the_last_bit_in_any_clip(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], number_format: NumberFormat
) -> None:
    vision, pairs = (
        vision_of(checkpoint.model.model.visual, number_format),
        _pairs(checkpoint, make_clip(8, is_video=True)),
    )
    together = vision.embed(pairs, 4, 6)
    assert all(torch.equal(vision.embed(pairs[n : n + 1], 4, 6)[0], together[n]) for n in range(4))


@torch.inference_mode()
@pytest.mark.parametrize("has_amx", [True, False])
def test_attention_in_bfloat16_stays_close_with_and_without_amx(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], has_amx: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has_amx})
    tower, pairs = checkpoint.model.model.visual, _pairs(checkpoint, make_clip(1, height=112, width=56))
    stored, rounded = (vision_of(tower, each).embed(pairs, 8, 4) for each in ("stored", "bfloat16"))
    assert 0 < float((rounded - stored).norm() / stored.norm()) < 0.02


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
@pytest.mark.parametrize("number_format", ["bfloat16", "int8"])
def test_embeddings_of_rounded_weights_stay_close(
    checkpoint: LoadedModel,
    make_clip: Callable[..., Clip],
    number_format: NumberFormat,
    activation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tower, pairs = checkpoint.model.model.visual, _pairs(checkpoint, make_clip(1, height=112, width=56))
    monkeypatch.setattr(tower.config, "hidden_act", activation)
    stored, rounded = (vision_of(tower, each).embed(pairs, 8, 4) for each in ("stored", number_format))
    assert 0 < float((rounded - stored).norm() / stored.norm()) < 0.05


@torch.inference_mode()
@pytest.mark.parametrize("count", [2, 3])
def test_a_picture_in_bfloat16_looks_the_same_to_the_last_bit_on_any_number_of_threads(
    checkpoint: LoadedModel, make_clip: Callable[..., Clip], count: int
) -> None:
    vision = vision_of(checkpoint.model.model.visual, "bfloat16")
    pairs = _pairs(checkpoint, make_clip(1, height=112, width=56))
    alone = vision.embed(pairs, 8, 4)
    with threads(count):
        assert torch.equal(vision.embed(pairs, 8, 4), alone)
