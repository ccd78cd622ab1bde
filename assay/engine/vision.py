"""Vision: frame pairs to embeddings, in one dense batch over transformers' own weights.

transformers walks over the pictures of a batch one by one; here all of one size go through together. Each pair is
seen by itself, so its embeddings do not depend on what is beside it, and can be kept for the next clip it is in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from assay.engine.rotary import patch_angles, turned


@dataclass(frozen=True, slots=True)
class _Block:
    norm1: tuple[Tensor, Tensor]
    qkv: tuple[Tensor, Tensor]
    proj: tuple[Tensor, Tensor]
    norm2: tuple[Tensor, Tensor]
    fc1: tuple[Tensor, Tensor]
    fc2: tuple[Tensor, Tensor]


class Vision:
    """The vision tower of one checkpoint."""

    def __init__(self, tower: Any) -> None:
        config = tower.config
        self._heads, self._merge = int(config.num_heads), int(config.spatial_merge_size)
        self._act: Callable[[Tensor], Tensor] = ACT2FN[config.hidden_act]
        self._kernel = tower.patch_embed.proj.weight.detach().flatten(1)
        self._inv_freq = tower.rotary_pos_emb.inv_freq.float()
        self._blocks = [
            _Block(
                *(_weights(part) for part in (block.norm1, block.attn.qkv, block.attn.proj)),
                *(_weights(part) for part in (block.norm2, block.mlp.fc1, block.mlp.fc2)),
            )
            for block in tower.blocks
        ]
        self._norm = _weights(tower.merger.ln_q)
        self._merger = (_weights(tower.merger.mlp[0]), _weights(tower.merger.mlp[2]))

    @property
    def weights(self) -> list[Tensor]:
        """All that rows are multiplied with, (out, in) each."""
        by_block = [(block.qkv[0], block.proj[0], block.fc1[0], block.fc2[0]) for block in self._blocks]
        return [self._kernel, *(part[0] for part in self._merger), *(weight for block in by_block for weight in block)]

    @property
    def device(self) -> torch.device:
        device: torch.device = self._kernel.device
        return device

    def look(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(pairs, rows * columns, pixels of a patch) float32 -> (pairs, tokens of a pair, language width)."""
        pairs, count, _ = patches.shape
        width = self._kernel.shape[0]
        x = functional.linear(patches.to(self._kernel.dtype), self._kernel).view(-1, width)
        cos, sin = (each.repeat(pairs, 1, 1) for each in patch_angles(self._inv_freq, rows, columns, self._merge))
        for block in self._blocks:
            normed = functional.layer_norm(x, (width,), *block.norm1, 1e-6)
            x = x + self._attend(block, normed, cos, sin, pairs, count)
            normed = functional.layer_norm(x, (width,), *block.norm2, 1e-6)
            x = x + functional.linear(self._act(functional.linear(normed, *block.fc1)), *block.fc2)
        x = functional.layer_norm(x, (width,), *self._norm, 1e-6).view(-1, width * self._merge**2)
        first, last = self._merger
        merged = functional.linear(functional.gelu(functional.linear(x, *first)), *last)
        return merged.view(pairs, count // self._merge**2, -1)

    def _attend(self, block: _Block, x: Tensor, cos: Tensor, sin: Tensor, pairs: int, count: int) -> Tensor:
        q, k, v = functional.linear(x, *block.qkv).view(len(x), 3, self._heads, -1).unbind(1)
        q, k = turned(q.float(), cos, sin).to(x.dtype), turned(k.float(), cos, sin).to(x.dtype)
        q, k, v = (each.view(pairs, count, self._heads, -1).transpose(1, 2) for each in (q, k, v))
        seen = functional.scaled_dot_product_attention(q, k, v)
        return functional.linear(seen.transpose(1, 2).reshape(x.shape), *block.proj)


def _weights(part: Any) -> tuple[Tensor, Tensor]:
    return part.weight.detach(), part.bias.detach()
