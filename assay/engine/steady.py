"""Steady: sums in the same order whoever is beside.

A matrix library picks its kernel, and with it the order in which it adds up, by the shapes it is given; so a row's
last bits hang on how many rows there are, and a weighted sum's on how many keys, even where the others weigh nothing.
On the CPUs tried (MKL and FBGEMM with AVX2) two habits remove that: rows in multiples of 4, of many of 12, and keys in
multiples of 192, those that are not seen weighing exactly nothing. (MKL sums up 192 at a time, and other numbers where
between one and two such pieces are left.) `is_steady` and `attends_steadily` try it out on the machine at hand. On a
GPU no such promise is made (`graph_runner`).
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from assay.engine.linear import Linear

ROWS_STEP = 4
MANY_ROWS, MANY_ROWS_STEP = 28, 12
"""FBGEMM goes through rows six at a time, and adds up in another order where one or two are left over."""
KEYS_STEP = 192


def padded_rows(x: Tensor) -> Tensor:
    """(rows, width) with rows of zeros up to a multiple of ROWS_STEP, of more than MANY_ROWS of MANY_ROWS_STEP."""
    missing = -len(x) % (ROWS_STEP if len(x) <= MANY_ROWS else MANY_ROWS_STEP)
    return functional.pad(x, (0, 0, 0, missing)) if missing else x


def stacked(mask: Tensor, shared: int) -> Tensor:
    """A (rows, places) mask as `attend` takes it: once for each of the heads that share their keys, below one another,
    each with rows up to where their number is steady. It is the same for all layers."""
    missing = -len(mask) % (ROWS_STEP // math.gcd(ROWS_STEP, shared))
    return functional.pad(mask, (0, 0, 0, missing)).repeat(shared, 1)


def attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """(rows, heads, head_dim) from queries of that shape, (key heads, places, head_dim) and a mask, `stacked`."""
    rows, heads, width = q.shape
    key_heads = len(keys)
    shared = heads // key_heads
    if missing := len(mask) // shared - rows:
        q = functional.pad(q, (0, 0, 0, 0, 0, missing))
    # Heads that share their keys stand below one another.
    q = q.view(-1, key_heads, shared, width).permute(1, 2, 0, 3).reshape(key_heads, -1, width)
    scores = torch.baddbmm(mask, q, keys.transpose(1, 2), alpha=width**-0.5)
    seen = torch.bmm(scores.softmax(-1), values)
    return seen.view(heads, -1, width).transpose(0, 1)[:rows]


def is_steady(products: Iterable[Linear], rows: Iterable[int] = (1, 5, 9, 13, 17, 21, 25, 30, 40, 64, 80, 100)) -> bool:
    """True if these products give a row the same bits in however many padded rows, on this thread.

    One of each shape and kind is tried.
    """
    generator = torch.Generator().manual_seed(0)
    for product in {(each.weight.shape, each.is_packed): each for each in products}.values():
        most = padded_rows(torch.randn(260, product.weight.shape[1], generator=generator))
        whole = product(most)
        for count in rows:
            padded = len(padded_rows(most[:count]))
            if not torch.equal(product(most[:padded]), whole[:padded]):
                return False
    return True


def attends_steadily(heads: int, key_heads: int, head_dim: int) -> bool:
    """True if attention gives a row the same bits beside however many others, with room for however many keys."""
    generator, most = torch.Generator().manual_seed(0), 5 * KEYS_STEP
    q = torch.randn(40, heads, head_dim, generator=generator)
    keys, values = torch.randn(2, key_heads, most, head_dim, generator=generator)
    shared = heads // key_heads
    for seen in (KEYS_STEP // 3, 3 * KEYS_STEP // 2, 3 * KEYS_STEP):
        mask = torch.full((len(q), most), float("-inf"))
        mask[:, :seen] = 0.0
        whole = attend(q, keys, values, stacked(mask, shared))
        for places in range(-(-seen // KEYS_STEP) * KEYS_STEP, most, KEYS_STEP):
            for first, end in ((0, 1), (3, 10), (7, 40)):
                some = stacked(mask[first:end, :places], shared)
                part = attend(q[first:end], keys[:, :places], values[:, :places], some)
                if not torch.equal(part, whole[first:end]):
                    return False
    return True
