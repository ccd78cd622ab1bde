"""The dense way through the tower gives transformers' own numbers."""

import pytest
import torch
from torch import Tensor

from training.tower import dense_tower, lean_to_first_frame, new_tower, start_from_vit

torch.manual_seed(0)


def patches_of(first: Tensor, second: Tensor) -> Tensor:
    """Rows of pixels in transformers' order."""
    pictures = torch.stack([first, second], dim=1)
    batch, _, channels, height, width = pictures.shape
    rows, columns = height // 28, width // 28
    cut = pictures.view(batch, 2, channels, rows, 2, 14, columns, 2, 14).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return cut.reshape(batch * rows * columns * 4, -1)


@pytest.mark.parametrize("is_video", [False, True])
def test_the_dense_tower_equals_transformers(is_video: bool) -> None:
    tower = new_tower(depth=2, language_width=128)
    first = torch.randn(2, 3, 56, 84)
    second = torch.randn(2, 3, 56, 84) if is_video else first
    with torch.no_grad():
        theirs = tower(patches_of(first, second), grid_thw=torch.tensor([[1, 4, 6]] * 2)).pooler_output
        ours = dense_tower(tower, first, second if is_video else None)
    torch.testing.assert_close(ours.flatten(0, 1), theirs, atol=1e-5, rtol=1e-4)


def test_layer_scale_is_folded_into_the_projection_before_it() -> None:
    tower = new_tower(depth=1, language_width=128)
    vit = {name: torch.randn(shape) for name, shape in VIT_SHAPES.items()}
    start_from_vit(tower, vit)
    scaled = vit["encoder.layer.0.mlp.fc2.weight"] * vit["encoder.layer.0.layer_scale2.lambda1"][:, None]
    torch.testing.assert_close(tower.state_dict()["blocks.0.mlp.fc2.weight"], scaled * 8)


def test_a_still_picture_is_encoded_as_before_when_the_tower_leans_to_the_first_frame() -> None:
    tower, still = new_tower(depth=1, language_width=128), torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        before = dense_tower(tower, still)
        lean_to_first_frame(tower, 0.8)
        torch.testing.assert_close(dense_tower(tower, still, still), before, atol=1e-5, rtol=1e-4)


def test_a_moving_picture_is_encoded_more_like_its_first_frame_when_the_tower_leans_to_it() -> None:
    tower, (first, second) = new_tower(depth=1, language_width=128), torch.randn(2, 1, 3, 56, 56)
    lean_to_first_frame(tower, 0.8)
    with torch.no_grad():
        together, alone, other = (dense_tower(tower, *pair) for pair in ((first, second), (first,), (second,)))
    assert (together - alone).norm() < (together - other).norm()


VIT_SHAPES: dict[str, tuple[int, ...]] = {
    "embeddings.patch_embeddings.projection.weight": (384, 3, 14, 14),
    "embeddings.patch_embeddings.projection.bias": (384,),
    "embeddings.patch_positions": (1, 1369, 384),
    **{f"encoder.layer.0.norm{n}.{part}": (384,) for n in (1, 2) for part in ("weight", "bias")},
    **{f"encoder.layer.0.attention.attention.{n}.weight": (384, 384) for n in ("query", "key", "value")},
    **{f"encoder.layer.0.attention.attention.{n}.bias": (384,) for n in ("query", "key", "value")},
    "encoder.layer.0.attention.output.dense.weight": (384, 384),
    "encoder.layer.0.attention.output.dense.bias": (384,),
    "encoder.layer.0.layer_scale1.lambda1": (384,),
    "encoder.layer.0.layer_scale2.lambda1": (384,),
    "encoder.layer.0.mlp.fc1.weight": (1536, 384),
    "encoder.layer.0.mlp.fc1.bias": (1536,),
    "encoder.layer.0.mlp.fc2.weight": (384, 1536),
    "encoder.layer.0.mlp.fc2.bias": (384,),
}
