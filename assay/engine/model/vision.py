"""VisionTower: frame pairs to embeddings, in one dense batch over transformers' own weights.

transformers walks over the pictures of a batch one by one; here all of one size go through together. Each pair is
embedded by itself, so its embeddings do not depend on the rest of the batch, and can be cached for the next clip.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from assay.engine.model.linear import Bfloat16Linear, Int8Linear, Linear, has_fbgemm
from assay.engine.model.rotary import patch_angles, rotated

VisionWeights = Literal["stored", "bfloat16", "int8"]
"""As the checkpoint has them, or rounded where most of the time goes: the products of the blocks."""


@dataclass(frozen=True, slots=True)
class _VisionBlock:
    norm1: tuple[Tensor, Tensor]
    qkv: Linear
    proj: Linear
    norm2: tuple[Tensor, Tensor]
    fc1: Linear
    fc2: Linear


class VisionTower:
    """The vision tower of one checkpoint."""

    def __init__(self, tower: Any, weights: VisionWeights = "stored") -> None:
        """ValueError if the weights cannot be rounded on this machine."""
        config = tower.config
        self._heads, self._merge = int(config.num_heads), int(config.spatial_merge_size)
        self._act: Callable[[Tensor], Tensor] = ACT2FN[config.hidden_act]
        self._kernel = Linear(tower.patch_embed.proj.weight.detach().flatten(1), may_pack=False)
        self._inv_freq = tower.rotary_pos_emb.inv_freq.float()
        if weights == "int8" and not has_fbgemm(self._kernel.weight):
            raise ValueError("weights of the vision tower can be rounded to int8 for a CPU with FBGEMM alone")
        self._is_batch_variant = weights == "int8"
        product: Callable[[Tensor, Tensor], Linear] = _PRODUCTS[weights]
        self._blocks = [
            _VisionBlock(
                norm1=_weights(block.norm1),
                qkv=product(*_weights(block.attn.qkv)),
                proj=product(*_weights(block.attn.proj)),
                norm2=_weights(block.norm2),
                fc1=product(*_weights(block.mlp.fc1)),
                fc2=product(*_weights(block.mlp.fc2)),
            )
            for block in tower.blocks
        ]
        self._norm = _weights(tower.merger.ln_q)
        self._merger = (_plain(*_weights(tower.merger.mlp[0])), _plain(*_weights(tower.merger.mlp[2])))

    @property
    def products(self) -> list[Linear]:
        """All that rows are multiplied with and that are batch invariant."""
        by_block = [(block.qkv, block.proj, block.fc1, block.fc2) for block in self._blocks]
        blocks = [] if self._is_batch_variant else [product for block in by_block for product in block]
        return [self._kernel, *self._merger, *blocks]

    def embed(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(pairs, rows * columns, pixels of a patch) float32 -> (pairs, tokens of a pair, language width)."""
        if self._is_batch_variant and len(patches) > 1:
            # The scale of what comes in is one for all that is multiplied together.
            return torch.cat([self.embed(pair[None], rows, columns) for pair in patches])
        pairs, count, _ = patches.shape
        width = len(self._kernel.weight)
        x = self._kernel(patches.to(self._kernel.weight.dtype).flatten(0, 1))
        cos, sin = (each.repeat(pairs, 1, 1) for each in patch_angles(self._inv_freq, rows, columns, self._merge))
        for block in self._blocks:
            normed = functional.layer_norm(x, (width,), *block.norm1, 1e-6)
            x = x + self._attend(block, normed, cos, sin, pairs, count)
            normed = functional.layer_norm(x, (width,), *block.norm2, 1e-6)
            x = x + block.fc2(self._act(block.fc1(normed)))
        x = functional.layer_norm(x, (width,), *self._norm, 1e-6).view(-1, width * self._merge**2)
        first, last = self._merger
        merged = last(functional.gelu(first(x)))
        return merged.view(pairs, count // self._merge**2, -1)

    def _attend(self, block: _VisionBlock, x: Tensor, cos: Tensor, sin: Tensor, pairs: int, count: int) -> Tensor:
        q, k, v = block.qkv(x).view(len(x), 3, self._heads, -1).unbind(1)
        q, k = rotated(q.float(), cos, sin).to(x.dtype), rotated(k.float(), cos, sin).to(x.dtype)
        q, k, v = (each.view(pairs, count, self._heads, -1).transpose(1, 2) for each in (q, k, v))
        attended = functional.scaled_dot_product_attention(q, k, v)
        return block.proj(attended.transpose(1, 2).reshape(x.shape))


def _plain(weight: Tensor, bias: Tensor) -> Linear:
    # Packed, a product of so many rows is no quicker.
    return Linear(weight, bias, may_pack=False)


def _weights(part: Any) -> tuple[Tensor, Tensor]:
    return part.weight.detach(), part.bias.detach()


_PRODUCTS: dict[VisionWeights, Callable[[Tensor, Tensor], Linear]] = {
    "stored": _plain,
    "bfloat16": Bfloat16Linear,
    "int8": Int8Linear,
}
