"""TextModel: the language model's own forward over transformers' weights, for the rows of several sequences at once.

All matrix products of a layer are done once for all rows; attention is done sequence by sequence, each over its own
keys. It is batch invariant: what comes out for a token depends, to the last bit, on that token and those in front of
it alone, neither on the rest of the batch nor on the chunks in which its own sequence was read (`attention`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assay.engine.model.attention import KEYS_STEP, attend, padded_rows, stacked_mask
from assay.engine.model.linear import Bfloat16Linear, Linear
from assay.engine.model.rotary import TextAngles, interleaved, rotated, turned


@dataclass(frozen=True, slots=True, eq=False)
class SequenceRows:
    """The new tokens of one sequence, and where their keys and values go."""

    keys_values: Tensor
    """(layers, 2, key heads, places, head_dim): written from `start` on."""
    start: int
    mask: Tensor
    """(rows, places) float32, 0 or -inf: which places each row attends to, itself included."""
    asked: tuple[int, ...]
    """Rows whose hidden states are returned."""


@dataclass(frozen=True, slots=True)
class _TextLayer:
    norm1: Tensor
    qkv: Linear
    out: Linear
    norm2: Tensor
    gate_up: Linear
    down: Linear


class TextModel:
    """The language model of one checkpoint: in float32, or with the products of its layers in bfloat16.

    What is added up from layer to layer, keys, values, attention and logits are float32 in either case.
    """

    def __init__(self, model: Any, *, is_bfloat16: bool = False) -> None:
        language, config = model.model.language_model, model.config.get_text_config()
        self.heads, self.key_heads = int(config.num_attention_heads), int(config.num_key_value_heads)
        self.head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self._is_bfloat16 = is_bfloat16
        self.layers = [self._layer(layer) for layer in language.layers]
        self.embedding = language.embed_tokens.weight.detach()
        self._eps = float(config.rms_norm_eps)
        self._norm = language.norm.weight.detach()
        self._head = Linear(model.lm_head.weight.detach())
        rotary = language.rotary_emb
        self._angles = TextAngles(rotary.inv_freq, tuple(rotary.mrope_section))

    @property
    def products(self) -> list[Linear]:
        """All that rows are multiplied with."""
        by_layer = [(layer.qkv, layer.out, layer.gate_up, layer.down) for layer in self.layers]
        return [self._head, *(product for layer in by_layer for product in layer)]

    @property
    def flops_a_row(self) -> int:
        """Floating-point operations of a row's products, attention apart."""
        return 2 * sum(product.weight.numel() for product in self.products)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.embedding.dtype
        return dtype

    def new_keys_values(self, tokens: int) -> Tensor:
        """Room for the keys and values of a sequence of so many tokens; zeros, as what is masked must be finite."""
        places = -(-tokens // KEYS_STEP) * KEYS_STEP
        shape = (len(self.layers), 2, self.key_heads, places, self.head_dim)
        return torch.zeros(shape, dtype=self.dtype)

    def forward(self, embedded: Tensor, positions: Tensor, sequences: Sequence[SequenceRows]) -> Tensor:
        """Hidden states, (rows asked, width), of new tokens: (rows, width) embedded, (3, rows) positions.

        The rows of the sequences stand one behind the other. Keys and values are written into their slots; behind
        those of the last layer only the asked rows go on.
        """
        bounds, masks = _bounds(sequences), self._masks(sequences)
        x = padded_rows(embedded)
        cos, sin = self._angles(functional.pad(positions, (0, len(x) - len(embedded))))
        for index, layer in enumerate(self.layers):
            q, k, v = self._queries_keys_values(layer, x, cos, sin)
            for (first, end), rows in zip(bounds, sequences, strict=True):
                _store(k[first:end], v[first:end], rows, index)
            if index == len(self.layers) - 1:
                chosen = [first + row for (first, _), rows in zip(bounds, sequences, strict=True) for row in rows.asked]
                x, q = padded_rows(x[chosen]), q[chosen]
                sequences = [replace(rows, mask=rows.mask[list(rows.asked)]) for rows in sequences]
                bounds, masks = _bounds(sequences), self._masks(sequences)
            attended = q.new_zeros(len(x), *q.shape[1:])
            for (first, end), rows, mask in zip(bounds, sequences, masks, strict=True):
                attended[first:end] = _attend(q[first:end], rows, mask, index)
            x = self._after_attention(layer, x, attended)
        return x[: bounds[-1][1]]

    def logits(self, hidden: Tensor) -> Tensor:
        """(rows, width) -> (rows, vocabulary) float32."""
        normed = functional.rms_norm(padded_rows(hidden), (hidden.shape[-1],), self._norm, self._eps)
        return self._head(normed)[: len(hidden)].float()

    def _masks(self, sequences: Sequence[SequenceRows]) -> list[Tensor]:
        """As `attend` takes them."""
        return [stacked_mask(rows.mask, self.heads // self.key_heads) for rows in sequences]

    def _after_attention(self, layer: _TextLayer, x: Tensor, attended: Tensor) -> Tensor:
        """(rows, width) behind a layer, given what its (rows, heads, head_dim) attended to."""
        x = x + layer.out(attended.flatten(1))
        normed = functional.rms_norm(x, (x.shape[-1],), layer.norm2, self._eps)
        gate, up = layer.gate_up(normed).chunk(2, dim=-1)
        return x + layer.down(functional.silu(gate) * up)

    def _queries_keys_values(
        self, layer: _TextLayer, x: Tensor, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, heads, head_dim) each; queries and keys rotated to their positions."""
        together = layer.qkv(functional.rms_norm(x, (x.shape[-1],), layer.norm1, self._eps))
        by_head = together.view(len(together), -1, self.head_dim)
        rotating = self.heads + self.key_heads
        if self._is_bfloat16:
            q_k = turned(
                by_head[:, :rotating].float(), torch.complex(*(each[..., : self.head_dim // 2] for each in (cos, sin)))
            )
        else:
            q_k = rotated(by_head[:, :rotating].float(), cos, sin).to(together.dtype)
        return q_k[:, : self.heads], q_k[:, self.heads :], by_head[:, rotating:]

    def _layer(self, layer: Any) -> _TextLayer:
        attention, mlp = layer.self_attn, layer.mlp
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        qkv, bias = _joined(parts), torch.cat([part.bias.detach() for part in parts])
        if self._is_bfloat16:
            turning = self.heads + self.key_heads
            qkv, bias = (interleaved(each, turning + self.key_heads, turning) for each in (qkv, bias))
        product: type[Linear] = Bfloat16Linear if self._is_bfloat16 else Linear
        return _TextLayer(
            norm1=layer.input_layernorm.weight.detach(),
            qkv=product(qkv, bias),
            out=product(attention.o_proj.weight.detach()),
            norm2=layer.post_attention_layernorm.weight.detach(),
            gate_up=product(_joined((mlp.gate_proj, mlp.up_proj))),
            down=product(mlp.down_proj.weight.detach()),
        )


def _store(k: Tensor, v: Tensor, rows: SequenceRows, layer: int) -> None:
    keys, values = rows.keys_values[layer]
    end = rows.start + len(k)
    keys[:, rows.start : end] = k.transpose(0, 1)
    values[:, rows.start : end] = v.transpose(0, 1)


def _attend(q: Tensor, rows: SequenceRows, mask: Tensor, layer: int) -> Tensor:
    keys, values = rows.keys_values[layer]
    places = mask.shape[1]
    return attend(q, keys[:, :places], values[:, :places], mask)


def _bounds(sequences: Sequence[SequenceRows]) -> list[tuple[int, int]]:
    bounds, end = [], 0
    for rows in sequences:
        bounds.append((end, end + len(rows.mask)))
        end += len(rows.mask)
    return bounds


def _joined(parts: Sequence[Any]) -> Tensor:
    """The weights of several projections of one input as one; the model keeps its own as views, so none is doubled."""
    together = torch.cat([part.weight.detach() for part in parts])
    for part, weight in zip(parts, torch.split(together, [len(part.weight) for part in parts]), strict=True):
        part.weight.data = weight
    return together
