"""VisionTower: frame pairs to embeddings, over transformers' own weights.

transformers walks over the pictures of a batch one by one; here all of one size go through together. A pair's
embeddings do not depend on the rest of the batch, so they can be cached for the next clip.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from assay.engine.model.linear import Bfloat16Linear, Int8Linear, Linear, has_fbgemm
from assay.engine.model.number_format import NumberFormat
from assay.engine.model.rotary import interleaved, patch_angles, patch_turns, rotated, turned
from assay.errors import CheckpointError

QUICK_GELU = 1.702
"""quick_gelu(x) = silu(1.702 x) / 1.702."""
_LEAST_GAIN = 1e-5
"""Of a norm's column: one of nearly nothing is not divided by."""


class Vision(Protocol):
    """The vision tower of one checkpoint."""

    @property
    def products(self) -> list[Linear]:
        """All that rows are multiplied with and that are batch invariant."""
        ...

    def embed(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """(pairs, rows * columns, pixels of a patch) float32 -> (pairs, tokens of a pair, language width) float32."""
        ...


def vision_of(tower: Any, number_format: NumberFormat) -> Vision:
    """CheckpointError if the weights cannot be held in this format on this machine."""
    return Bfloat16VisionTower(tower) if number_format == "bfloat16" else VisionTower(tower, number_format)


@dataclass(frozen=True, slots=True)
class _VisionBlock:
    norm1: tuple[Tensor, Tensor]
    qkv: Linear
    proj: Linear
    norm2: tuple[Tensor, Tensor]
    fc1: Linear
    fc2: Linear


class VisionTower:
    """Implements Vision in float32, or with the products of its blocks in 8 bits."""

    def __init__(self, tower: Any, number_format: NumberFormat = "stored") -> None:
        """CheckpointError if the weights cannot be rounded on this machine."""
        config = tower.config
        self._heads, self._merge = int(config.num_heads), int(config.spatial_merge_size)
        self._kernel = Linear(tower.patch_embed.proj.weight.detach().flatten(1), may_pack=False)
        self._inv_freq = tower.rotary_pos_emb.inv_freq.float()
        if number_format == "int8" and not has_fbgemm(self._kernel.weight):
            raise CheckpointError("weights of the vision tower can be rounded to int8 for a CPU with FBGEMM alone")
        self._is_int8 = number_format == "int8"
        # oneDNN has silu: what quick_gelu is more goes into the norm in front of it and the sum behind it.
        is_quick = config.hidden_act == "quick_gelu" and self._kernel.weight.dtype == torch.float32
        self._mlp_scale, activation = (QUICK_GELU, "silu") if is_quick else (1.0, config.hidden_act)
        self._blocks = [self._block(block, activation) for block in tower.blocks]
        self._norm = _weights(tower.merger.ln_q)
        first, last = (_weights(tower.merger.mlp[place]) for place in (0, 2))
        self._merger = (_plain(*first, activation="gelu"), _plain(*last))

    @property
    def products(self) -> list[Linear]:
        by_block = [(block.qkv, block.proj, block.fc1, block.fc2) for block in self._blocks]
        return [self._kernel, *self._merger, *(product for block in by_block for product in block)]

    def embed(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        pairs, count, _ = patches.shape
        width = len(self._kernel.weight)
        x = self._kernel(patches.to(self._kernel.weight.dtype).flatten(0, 1))
        cos, sin = (each.repeat(pairs, 1, 1) for each in patch_angles(self._inv_freq, rows, columns, self._merge))
        for block in self._blocks:
            normed = functional.layer_norm(x, (width,), *block.norm1, 1e-6)
            x = x + self._attend(block, normed, cos, sin, pairs, count)
            normed = functional.layer_norm(x, (width,), *block.norm2, 1e-6)
            x = torch.add(x, block.fc2(block.fc1(normed)), alpha=1.0 / self._mlp_scale)
        x = functional.layer_norm(x, (width,), *self._norm, 1e-6).view(-1, width * self._merge**2)
        first, last = self._merger
        merged = last(first(x))
        return merged.view(pairs, count // self._merge**2, -1)

    def _attend(self, block: _VisionBlock, x: Tensor, cos: Tensor, sin: Tensor, pairs: int, count: int) -> Tensor:
        q, k, v = block.qkv(x).view(len(x), 3, self._heads, -1).unbind(1)
        q, k = rotated(q.float(), cos, sin).to(x.dtype), rotated(k.float(), cos, sin).to(x.dtype)
        q, k, v = (each.view(pairs, count, self._heads, -1).transpose(1, 2) for each in (q, k, v))
        attended = functional.scaled_dot_product_attention(q, k, v)
        return block.proj(attended.transpose(1, 2).reshape(x.shape))

    def _block(self, block: Any, activation: str) -> _VisionBlock:
        norm1, qkv = self._behind_norm(block.norm1, block.attn.qkv)
        norm2, fc1 = self._behind_norm(block.norm2, block.mlp.fc1, activation, scale=self._mlp_scale)
        fc2, fc2_bias = _weights(block.mlp.fc2)
        return _VisionBlock(
            norm1=norm1,
            qkv=qkv,
            proj=self._product(*_weights(block.attn.proj)),
            norm2=norm2,
            fc1=fc1,
            fc2=self._product(fc2, fc2_bias * self._mlp_scale),
        )

    def _behind_norm(
        self, norm: Any, linear: Any, activation: str = "", *, scale: float = 1.0
    ) -> tuple[tuple[Tensor, Tensor], Linear]:
        """The norm's weights and the product of what comes out of it, `scale` times what they were together."""
        (gain, offset), (weight, bias) = _weights(norm), _weights(linear)
        if self._is_int8:
            # A row in 8 bits is exact where no column is much larger than the others: each column's gain goes into the
            # weight, which halves what is lost (benchmarks/LOG.md).
            size = gain.abs().clamp(min=_LEAST_GAIN)
            gain, offset, weight = gain / size, offset / size, weight * size
        return (gain * scale, offset * scale), self._product(weight, bias * scale, activation=activation)

    def _product(self, weight: Tensor, bias: Tensor, *, activation: str = "") -> Linear:
        kind = Int8Linear if self._is_int8 else _plain
        return kind(weight, bias, activation=activation)


class Bfloat16VisionTower:
    """Implements Vision in bfloat16; what is added up from block to block stays in float32.

    A pair at a time: of two, the one's rows would push the other's out of the cache, and sums over long rows depend on
    how many come together.
    """

    def __init__(self, tower: Any) -> None:
        config = tower.config
        self._heads, self._merge = int(config.num_heads), int(config.spatial_merge_size)
        self._kernel = _whole(tower.patch_embed.proj.weight.detach().flatten(1))
        turns = partial(patch_turns, tower.rotary_pos_emb.inv_freq.float(), merge=self._merge)
        self._turns = lru_cache(16)(turns)
        self._blocks = [self._block(block, config.hidden_act) for block in tower.blocks]
        # Without AMX torch's fused kernel takes three times as long (benchmarks/LOG.md).
        self._has_fused_attention = bool(torch.cpu.get_capabilities().get("amx_bf16"))
        self._norm = _weights(tower.merger.ln_q)
        first, last = (_weights(tower.merger.mlp[place]) for place in (0, 2))
        self._merger = (_whole(*first, "gelu"), _whole(*last))

    @property
    def products(self) -> list[Linear]:
        return [product for block in self._blocks for product in (block.qkv, block.proj, block.fc1)]

    def embed(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        return torch.stack([self._embed(pair, rows, columns) for pair in patches])

    def _embed(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        x, turns = self._kernel(patches).float(), self._turns(rows, columns)
        width = x.shape[1]
        for block in self._blocks:
            x += block.proj(self._attended(block.qkv(functional.layer_norm(x, (width,), *block.norm1, 1e-6)), turns))
            x += block.fc2(block.fc1(functional.layer_norm(x, (width,), *block.norm2, 1e-6)))
        x = functional.layer_norm(x, (width,), *self._norm, 1e-6).view(-1, width * self._merge**2)
        first, last = self._merger
        return last(first(x)).float()

    def _attended(self, qkv: Tensor, turns: Tensor) -> Tensor:
        """(patches, width) from (patches, 3 * width)."""
        width = qkv.shape[1] // 3
        q_k = turned(qkv[:, : 2 * width].view(len(qkv), 2 * self._heads, -1), turns)
        v = qkv[:, 2 * width :].view(len(qkv), self._heads, -1)
        q, k, v = (each.transpose(0, 1) for each in (q_k[:, : self._heads], q_k[:, self._heads :], v))
        attended = _fused_attention(q, k, v) if self._has_fused_attention else _attention_by_products(q, k, v)
        return attended.transpose(0, 1).reshape(len(qkv), width)

    def _block(self, block: Any, activation: str) -> _VisionBlock:
        (qkv, qkv_bias), (fc1, fc1_bias), (fc2, fc2_bias) = map(
            _weights, (block.attn.qkv, block.mlp.fc1, block.mlp.fc2)
        )
        if activation == "quick_gelu":
            activation, fc1, fc1_bias, fc2 = "silu", fc1 * QUICK_GELU, fc1_bias * QUICK_GELU, fc2 / QUICK_GELU
        qkv, qkv_bias = (interleaved(each, 3 * self._heads, 2 * self._heads) for each in (qkv, qkv_bias))
        return _VisionBlock(
            norm1=_weights(block.norm1),
            qkv=Bfloat16Linear(qkv, qkv_bias),
            proj=Bfloat16Linear(*_weights(block.attn.proj)),
            norm2=_weights(block.norm2),
            fc1=Bfloat16Linear(fc1, fc1_bias, activation=activation),
            fc2=_whole(fc2, fc2_bias),
        )


def _fused_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(heads, patches, head_dim) each."""
    return functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]


def _attention_by_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As above; logits are rounded to bfloat16, the softmax adds up in float32."""
    return torch.bmm(torch.bmm(q * q.shape[-1] ** -0.5, k.transpose(1, 2)).softmax(-1), v)


def _whole(weight: Tensor, bias: Tensor | None = None, activation: str = "") -> Linear:
    return Bfloat16Linear(weight, bias, activation=activation, is_whole=True)


def _plain(weight: Tensor, bias: Tensor, *, activation: str = "") -> Linear:
    # Packed, a product of so many rows is no quicker.
    return Linear(weight, bias, may_pack=False, activation=activation)


def _weights(part: Any) -> tuple[Tensor, Tensor]:
    return part.weight.detach(), part.bias.detach()
