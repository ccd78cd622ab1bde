"""Vision: frame pairs to embeddings, in one dense batch over transformers' own weights.

transformers walks over the pictures of a batch one by one; here all of one size go through together. Each pair is
seen by itself, so its embeddings do not depend on what is beside it, and can be kept for the next clip it is in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from assay.engine.model.linear import Bfloat16Linear, Int8Linear, Linear, has_fbgemm
from assay.engine.model.rotary import patch_angles, turned

VisionWeights = Literal["stored", "bfloat16", "int8"]
"""As the checkpoint has them, or rounded where most of the time goes: the products of the blocks."""


@dataclass(frozen=True, slots=True)
class _Block:
    norm1: tuple[Tensor, Tensor]
    qkv: Linear
    proj: Linear
    norm2: tuple[Tensor, Tensor]
    fc1: Linear
    fc2: Linear


class Vision:
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
        self._hangs_on_all = weights == "int8"
        product: Callable[[Tensor, Tensor], Linear] = _PRODUCTS[weights]
        self._blocks = [
            _Block(
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
        """All that rows are multiplied with and that give a row the same whoever is beside."""
        by_block = [(block.qkv, block.proj, block.fc1, block.fc2) for block in self._blocks]
        blocks = [] if self._hangs_on_all else [product for block in by_block for product in block]
        return [self._kernel, *self._merger, *blocks]

    def look(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(pairs, rows * columns, pixels of a patch) float32 -> (pairs, tokens of a pair, language width)."""
        if self._hangs_on_all and len(patches) > 1:
            # The scale of what comes in is one for all that is multiplied together.
            return torch.cat([self.look(pair[None], rows, columns) for pair in patches])
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

    def _attend(self, block: _Block, x: Tensor, cos: Tensor, sin: Tensor, pairs: int, count: int) -> Tensor:
        q, k, v = block.qkv(x).view(len(x), 3, self._heads, -1).unbind(1)
        q, k = turned(q.float(), cos, sin).to(x.dtype), turned(k.float(), cos, sin).to(x.dtype)
        q, k, v = (each.view(pairs, count, self._heads, -1).transpose(1, 2) for each in (q, k, v))
        seen = functional.scaled_dot_product_attention(q, k, v)
        return block.proj(seen.transpose(1, 2).reshape(x.shape))


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
