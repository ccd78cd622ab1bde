"""The vision tower: transformers' own Qwen2-VL weights, started from a ViT-S/14, and a dense way through them.

transformers walks over the pictures of a batch one by one; on a CPU that is several times slower than one dense
attention over pictures of equal size. `dense_tower` computes the same numbers from the same parameters
(tests/training/test_tower.py proves it).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2VLConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

PATCH_PX = 14
MERGE = 2
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_LARGER = 8.0


def vision_config(depth: int, language_width: int) -> dict[str, object]:
    """The `vision_config` of a Qwen2VLConfig: a ViT-S/14 of that depth, merged 2 x 2 into language_width."""
    return {
        "depth": depth,
        "embed_dim": 384,
        "num_heads": 6,
        "mlp_ratio": 4,
        "hidden_act": "quick_gelu",
        "hidden_size": language_width,
        "patch_size": PATCH_PX,
        "temporal_patch_size": 2,
        "spatial_merge_size": MERGE,
    }


def new_tower(depth: int, language_width: int) -> Qwen2VisionTransformerPretrainedModel:
    """A tower with random weights; attention is dense, so nothing of transformers' dispatch is needed."""
    config: Any = Qwen2VLConfig(vision_config=vision_config(depth, language_width)).vision_config
    config._attn_implementation = "sdpa"
    return Qwen2VisionTransformerPretrainedModel(config)


@torch.no_grad()
def start_from_vit(tower: Qwen2VisionTransformerPretrainedModel, vit: Mapping[str, Tensor]) -> None:
    """Put the first blocks of a Dinov2-style ViT-S/14 into the tower.

    Not carried over: class token, absolute positions, final norm. LayerScale is folded into the projection before it.
    The patch bias (which Qwen2-VL does not have), the mean position and the step from ImageNet's to CLIP's
    normalisation are constants in the residual stream: they enter with the bias of the first attention output.
    The whole stream is made eight times larger. Every block normalises what it reads, so the tower computes the same;
    but the folded LayerScale had left weights so small that one step of Adam would have torn them up.
    """
    scale = torch.tensor(CLIP_STD) / torch.tensor(_IMAGENET_STD)
    shift = (torch.tensor(CLIP_MEAN) - torch.tensor(_IMAGENET_MEAN)) / torch.tensor(_IMAGENET_STD)
    kernel = vit["embeddings.patch_embeddings.projection.weight"]
    constant = vit["embeddings.patch_embeddings.projection.bias"] + torch.einsum("ocij,c->o", kernel, shift)
    constant = constant + vit["embeddings.patch_positions"].mean((0, 1))
    halved = (kernel * scale.view(1, 3, 1, 1) * _LARGER / 2).unsqueeze(2)
    tower.patch_embed.proj.weight.copy_(halved.expand_as(tower.patch_embed.proj.weight))
    blocks: Any = tower.blocks
    for index, block in enumerate(blocks):
        _start_block(block, {k.removeprefix(f"encoder.layer.{index}."): v for k, v in vit.items()})
    blocks[0].attn.proj.bias.add_(constant * _LARGER)


@torch.no_grad()
def lean_to_first_frame(tower: Qwen2VisionTransformerPretrainedModel, share: float) -> None:
    """Let a temporal patch show that share of its first frame and the rest of its second.

    A still picture, which is its own second frame, is encoded as before.
    """
    kernel = tower.patch_embed.proj.weight
    whole = kernel.sum(2, keepdim=True)
    kernel.copy_(torch.cat([whole * share, whole * (1 - share)], dim=2))


def _start_block(block: nn.Module, vit: Mapping[str, Tensor]) -> None:
    names = ("query", "key", "value")
    scale1, scale2 = (vit[f"layer_scale{part}.lambda1"] * _LARGER for part in (1, 2))
    values = {
        "norm1.weight": vit["norm1.weight"],
        "norm1.bias": vit["norm1.bias"],
        "norm2.weight": vit["norm2.weight"],
        "norm2.bias": vit["norm2.bias"],
        "attn.qkv.weight": torch.cat([vit[f"attention.attention.{name}.weight"] for name in names]),
        "attn.qkv.bias": torch.cat([vit[f"attention.attention.{name}.bias"] for name in names]),
        "attn.proj.weight": vit["attention.output.dense.weight"] * scale1[:, None],
        "attn.proj.bias": vit["attention.output.dense.bias"] * scale1,
        "mlp.fc1.weight": vit["mlp.fc1.weight"],
        "mlp.fc1.bias": vit["mlp.fc1.bias"],
        "mlp.fc2.weight": vit["mlp.fc2.weight"] * scale2[:, None],
        "mlp.fc2.bias": vit["mlp.fc2.bias"] * scale2,
    }
    block.load_state_dict(values)


def normalised(pixels: Tensor) -> Tensor:
    """(batch, height, width, 3) uint8 RGB -> (batch, 3, height, width) float32 in CLIP's units."""
    x = pixels.permute(0, 3, 1, 2).float().div_(255)
    mean, std = (torch.tensor(each, device=x.device).view(1, 3, 1, 1) for each in (CLIP_MEAN, CLIP_STD))
    return (x - mean) / std


def dense_tower(
    tower: Qwen2VisionTransformerPretrainedModel,
    first: Tensor,
    second: Tensor | None = None,
    visible: Tensor | None = None,
) -> Tensor:
    """Pictures of one size -> (batch, merged tokens, language width), tokens in transformers' order.

    first, second: (batch, 3, height, width) normalised; the two frames of a temporal patch. A still picture is its
    own second frame. visible: places of the merged tokens that are computed, as if there were no others;
    all if None.
    """
    _, _, height, width = first.shape
    rows, columns = height // PATCH_PX, width // PATCH_PX
    kernel = tower.patch_embed.proj.weight
    if second is None:
        x = functional.conv2d(first, kernel.sum(2), stride=PATCH_PX)
    else:
        x = functional.conv2d(first, kernel[:, :, 0], stride=PATCH_PX) + functional.conv2d(
            second, kernel[:, :, 1], stride=PATCH_PX
        )
    # Patches in the order of merged tokens, the four of each adjacent; attention does not mind any order.
    order = _merged_order(rows, columns).to(x.device)
    order = (order if visible is None else order[visible]).flatten()
    x = x.flatten(2).transpose(1, 2)[:, order]
    cos, sin = (angles[order] for angles in _rotary(tower, rows, columns))
    blocks: Any = tower.blocks
    for block in blocks:
        x = x + _attention(block.attn, block.norm1(x), cos, sin)
        x = x + block.mlp(block.norm2(x))
    merged: Tensor = tower.merger(x)
    return merged.view(len(first), len(order) // MERGE**2, -1)


def _merged_order(rows: int, columns: int) -> Tensor:
    """(merged tokens, 4): the patches of each, counted row by row."""
    patches = torch.arange(rows * columns).view(rows // MERGE, MERGE, columns // MERGE, MERGE)
    return patches.transpose(1, 2).reshape(-1, MERGE**2)


def _rotary(tower: Qwen2VisionTransformerPretrainedModel, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    frequencies = tower.rotary_pos_emb.inv_freq.float()
    down = torch.arange(rows, device=frequencies.device).repeat_interleave(columns)[:, None] * frequencies
    across = torch.arange(columns, device=frequencies.device).repeat(rows)[:, None] * frequencies
    angles = torch.cat([down, across, down, across], dim=-1)
    return angles.cos(), angles.sin()


def _attention(attention: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    batch, tokens, width = x.shape
    q, k, v = attention.qkv(x).view(batch, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    cos, sin = cos.to(q.dtype), sin.to(q.dtype)
    # Products of matrices, not scaled_dot_product_attention: on a CPU its backward pass costs three times as much.
    alike = (_rotated(q, cos, sin) * q.shape[-1] ** -0.5) @ _rotated(k, cos, sin).transpose(-1, -2)
    with torch.autocast(x.device.type, enabled=False):
        out = alike.softmax(-1) @ v
    projected: Tensor = attention.proj(out.transpose(1, 2).reshape(batch, tokens, width))
    return projected


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin
