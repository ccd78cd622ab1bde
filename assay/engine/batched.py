"""Batched: attention for many rows at once, without a step for each sequence.

`read_desk` is what a graph records: nothing in it hangs on numbers that the host would have to know, all shapes are the
bucket's. `look_back` is for one long feed by itself. Heads that share their keys stand below one another as rows of one
head wherever there is a mask, since the kernels that take masks want as many key heads as heads.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from assay.engine.decoder import Decoder
from assay.engine.desk import Desk
from assay.engine.sheet import KEEP, PLACE, POSITIONS, SEAT, SEES, SLOT, TOKEN, Bucket


def read_desk(decoder: Decoder, desk: Desk, bucket: Bucket, sheet: Tensor) -> Tensor:
    """Hidden states, (rows, width), of a sheet's rows; their keys and values are written to their seats."""
    numbers = sheet.long()
    seat, place, slot = numbers[:, SEAT], numbers[:, PLACE], numbers[:, SLOT]
    shared = decoder.heads // decoder.key_heads
    mask = _mask(numbers, bucket).to(decoder.dtype).view(bucket.sequences, 1, bucket.longest, bucket.places)
    below = mask.repeat(1, 1, shared, 1)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = desk.keys_values[layer]
        keys[seat, :, place], values[seat, :, place] = k, v
        dense = q.new_zeros(bucket.slots + 1, *q.shape[1:])
        dense[slot] = q
        dense = dense[:-1].view(bucket.sequences, bucket.longest, decoder.key_heads, shared, -1)
        seen = _attend(
            dense.permute(0, 2, 3, 1, 4),
            keys[: bucket.sequences, :, : bucket.places],
            values[: bucket.sequences, :, : bucket.places],
            below,
        )
        # What fills up gets what some row sees; nobody looks at it.
        return seen.permute(0, 3, 1, 2, 4).reshape(bucket.slots, *q.shape[1:])[slot.clamp(max=bucket.slots - 1)]

    return decoder.through(decoder.embedding[numbers[:, TOKEN]], numbers[:, POSITIONS].t(), attend)


def look_back(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """(rows, heads, head_dim) from queries of that shape and (key heads, places, head_dim). The rows are the last of
    the places, and each sees all up to itself, or what a (rows, places) mask of 0 and -inf leaves."""
    shared = q.shape[1] // len(keys)
    if mask is not None:
        dense = q.view(len(q), len(keys), shared, -1).permute(1, 2, 0, 3)
        below = mask.to(q.dtype).repeat(shared, 1)[None, None]
        return _attend(dense[None], keys[None], values[None], below)[0].flatten(0, 1).transpose(0, 1)
    if q.dtype == torch.float32:
        # Flash kernels are for half precision; the others want as many key heads as heads.
        keys, values = keys.repeat_interleave(shared, 0), values.repeat_interleave(shared, 0)
    causal = causal_lower_right(len(q), keys.shape[1])
    seen = functional.scaled_dot_product_attention(
        q.transpose(0, 1)[None], keys[None], values[None], attn_mask=causal, enable_gqa=q.dtype != torch.float32
    )
    return seen[0].transpose(0, 1)


def _attend(q: Tensor, keys: Tensor, values: Tensor, below: Tensor) -> Tensor:
    """(sequences, key heads, shared, rows, head_dim) queries over (sequences, key heads, places, head_dim), with a
    (sequences, 1, shared * rows, places) mask; as q."""
    seen = functional.scaled_dot_product_attention(q.flatten(2, 3), keys, values, attn_mask=below)
    return seen.view(q.shape)


def _mask(numbers: Tensor, bucket: Bucket) -> Tensor:
    """(slots, places) 0 or -inf: what was kept, and of a row's own feed what it sees. Slots without a row see all, as
    there must be something to see."""
    behind = torch.arange(bucket.places, device=numbers.device) - numbers[:, KEEP, None]
    own = numbers[:, SEES:].gather(1, behind.clamp(0, bucket.longest - 1))
    sees = (behind < 0) | ((behind < bucket.longest) & (own != 0))
    by_slot = sees.new_ones(bucket.slots + 1, bucket.places)
    by_slot[numbers[:, SLOT]] = sees
    return torch.zeros(bucket.slots, bucket.places, device=numbers.device).masked_fill_(~by_slot[:-1], float("-inf"))
