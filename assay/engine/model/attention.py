"""Attention, batch invariant: a row's result does not depend on the rest of the batch.

A matrix library picks its kernel, and with it the order in which it adds up, by the shapes it is given; so a row's
last bits depend on how many rows there are, and a weighted sum's on how many keys, even where the others weigh nothing.
Three habits remove that, on processors with AVX2, AVX-512 and AMX:

- products go through FBGEMM and oneDNN (`linear`), in multiples of 4 rows, of many of 12;
- attention has no product but MKL's, so that one gets few shapes: 12, 24, 36 or 48 rows. (Below 12 rows, and above 60,
  MKL has other kernels; which ones depends on the processor and its maker.)
- it sums over 192 keys at a time, masked ones weighing exactly nothing.

`products_are_batch_invariant` and `attention_is_batch_invariant` test it on the machine at hand.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from assay.engine.model.linear import Linear, threads

ROWS_STEP = 4
MANY_ROWS, MANY_ROWS_STEP = 28, 12
"""FBGEMM goes through rows six at a time, and adds up in another order where one or two are left over."""
ATTENTION_ROWS_STEP, MAX_ATTENTION_ROWS = 12, 48
"""Rows of attention's products."""
KEYS_STEP = 192


def padded_rows(x: Tensor) -> Tensor:
    """(rows, width) with rows of zeros up to a multiple of ROWS_STEP, of more than MANY_ROWS of MANY_ROWS_STEP."""
    missing = -len(x) % (ROWS_STEP if len(x) <= MANY_ROWS else MANY_ROWS_STEP)
    return functional.pad(x, (0, 0, 0, missing)) if missing else x


def stacked_mask(mask: Tensor, shared: int) -> Tensor:
    """A (rows, places) mask as `attend` takes it: once for each of the heads that share their keys, below one another,
    padded to a number of rows that is batch invariant. It is the same for all layers."""
    below = mask.repeat(shared, 1)
    return functional.pad(below, (0, 0, 0, -len(below) % ATTENTION_ROWS_STEP))


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(rows, heads, head_dim) from queries of that shape, (key heads, places, head_dim) and a mask, `stacked_mask`."""
    rows, heads, width = q.shape
    key_heads = len(keys)
    shared = heads // key_heads
    # Heads that share their keys stand below one another, and rows of zeros below them.
    below = q.new_zeros(key_heads, len(mask), width)
    by_head = below[:, : shared * rows].view(key_heads, shared, rows, width)
    by_head.copy_(q.view(rows, key_heads, shared, width).permute(1, 2, 0, 3))
    pieces = zip(torch.split(below, MAX_ATTENTION_ROWS, dim=1), torch.split(mask, MAX_ATTENTION_ROWS), strict=True)
    some = [_attend(q_rows, keys, values, mask_rows) for q_rows, mask_rows in pieces]
    attended = torch.cat(some, dim=1) if len(some) > 1 else some[0]
    return attended[:, : shared * rows].reshape(heads, rows, width).transpose(0, 1)


def _attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(key heads, rows, head_dim) from (key heads, rows, head_dim), as above and (rows, places)."""
    weights = torch.baddbmm(mask, q, keys.transpose(1, 2), alpha=q.shape[-1] ** -0.5).softmax(-1)
    attended = torch.bmm(weights[:, :, :KEYS_STEP], values[:, :KEYS_STEP])
    for first in range(KEYS_STEP, mask.shape[1], KEYS_STEP):
        here = slice(first, first + KEYS_STEP)
        attended = torch.baddbmm(attended, weights[:, :, here], values[:, here])
    return attended


def products_are_batch_invariant(
    products: Iterable[Linear], rows: Iterable[int] = (1, 5, 9, 13, 17, 21, 25, 30, 40, 64, 80, 100)
) -> bool:
    """True if these products give a row the same bits in however many padded rows, wherever it stands among them, on
    one thread and on as many as torch has here.

    One of each shape and kind is tried.
    """
    generator = torch.Generator().manual_seed(0)
    rows = tuple(rows)
    different = {(each.weight.shape, type(each), each.is_packed): each for each in products}
    for product in different.values():
        most = padded_rows(torch.randn(max(rows) + 40, product.weight.shape[1], generator=generator))
        with threads(1):
            whole = product(most)
        for count in rows:
            padded = len(padded_rows(most[:count]))
            for some in (slice(0, padded), slice(len(most) - padded, None)):
                if not torch.equal(product(most[some]), whole[some]):
                    return False
    return True


def attention_is_batch_invariant(heads: int, key_heads: int, head_dim: int) -> bool:
    """True if attention gives a row the same bits among however many others, with room for however many keys."""
    generator, most = torch.Generator().manual_seed(0), 5 * KEYS_STEP
    q = torch.randn(40, heads, head_dim, generator=generator)
    keys, values = torch.randn(2, key_heads, most, head_dim, generator=generator)
    shared = heads // key_heads
    for attended in (KEYS_STEP // 3, 3 * KEYS_STEP // 2, 3 * KEYS_STEP):
        mask = torch.full((len(q), most), float("-inf"))
        mask[:, :attended] = 0.0
        with threads(1):
            whole = attend(q, keys, values, stacked_mask(mask, shared))
        for places in range(-(-attended // KEYS_STEP) * KEYS_STEP, most, KEYS_STEP):
            for first, end in ((0, 1), (3, 10), (7, 40)):
                some = stacked_mask(mask[first:end, :places], shared)
                part = attend(q[first:end], keys[:, :places], values[:, :places], some)
                if not torch.equal(part, whole[first:end]):
                    return False
    return True
