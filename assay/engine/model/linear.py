"""Linear: rows times a weight, packed beforehand where that loses nothing and is quicker.

A product of a few rows spends its time on the weight: the matrix library lays it out anew for every one. FBGEMM takes
weights that were laid out once, as float16, and sums up in float32; a checkpoint that was stored as float16 is so to
the last bit. At 4 rows that is several times as quick as MKL, at 12 twice, at 100 the same (benchmarks/LOG.md).

What float16 cannot hold goes through oneDNN. MKL, torch's own choice for float32, adds up in another order for other
numbers of rows or threads, and in yet another on another maker's processor; FBGEMM and oneDNN ask only what
instructions there are, and a row's result does not depend on the rest of the batch (`attention` tests it).
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

MOST_BFLOAT16_TERMS = 384
"""oneDNN adds up so many products of bfloat16 in one order on AMX, whatever the number of rows and threads."""

_ONEDNN_ACTIVATIONS = {"": ("none", ""), "gelu": ("gelu", "none"), "silu": ("swish", "")}
"""What oneDNN calls transformers' activations, and by which algorithm it computes them."""


class Linear:
    """x -> x @ weight.T + bias, for rows of float32 on a CPU or whatever the weight is of elsewhere."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, may_pack: bool = True, activation: str = ""
    ) -> None:
        """(out, in) and (out,). Packed, the weight is there a second time, as float16 in half of its size.

        `activation`, of transformers' names, is done to what comes out, by the product itself where it can.
        """
        self.weight = weight
        self.is_packed = may_pack and (can_pack(weight) or has_onednn(weight))
        self._product = self._chosen(bias, activation)

    def __call__(self, x: Tensor) -> Tensor:
        """(rows, in) -> (rows, out)."""
        return self._product(x)

    def _chosen(self, bias: Tensor | None, activation: str) -> Callable[[Tensor], Tensor]:
        if self.is_packed and can_pack(self.weight):
            return _followed_by(activation, _packed(self.weight, bias))
        if has_onednn(self.weight):
            return _through_onednn(self.weight, bias, activation, is_packed=self.is_packed)
        return _followed_by(activation, lambda x: functional.linear(x, self.weight, bias))


class Int8Linear(Linear):
    """As Linear, less exactly: weights and what comes in have 8 bits, with a scale for each row of either, so that a
    row's result does not depend on the others. Without AVX-512 VNNI what comes in has 7, as sums of two products must
    fit into 16.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "") -> None:
        """(out, in) and (out,). In 8 bits the weight is there a second time, in a quarter of its size."""
        self.weight, self.is_packed = weight, True
        self._product = _followed_by(activation, _rounded(weight, bias))


class Bfloat16Linear(Linear):
    """As Linear, less exactly: what goes in, the weights and what comes out in bfloat16, sums in float32. For CPUs that
    have products for it (AMX, AVX-512 BF16); elsewhere it is slow.

    oneDNN cuts long rows into pieces, elsewhere for other numbers of rows or threads. So they are multiplied piece by
    piece, or, where the same number of rows always comes together (`is_whole`), by one thread.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, activation: str = "", is_whole: bool = False
    ) -> None:
        """(out, in) and (out,). In bfloat16 the weight is there a second time, in half of its size.

        `activation`, transformers' gelu or silu, is done to products of one piece before they are rounded.
        """
        self.weight, self.is_packed = weight, True
        is_long = weight.shape[1] > MOST_BFLOAT16_TERMS
        if is_whole or not is_long:
            product = _in_bfloat16(weight, bias, activation)
            self._product = _by_one_thread(product) if is_long else product
        else:
            assert not activation, "an activation is done to whole sums"
            self._product = _in_pieces(weight, bias)


def has_fbgemm(weight: Tensor) -> bool:
    """True if this machine and this torch have FBGEMM's products for such a weight."""
    is_here = "fbgemm" in torch.backends.quantized.supported_engines and weight.device.type == "cpu"
    return is_here and weight.dtype == torch.float32


def can_pack(weight: Tensor) -> bool:
    """True if float16 holds it to the last bit, and this machine and this torch have the product for it."""
    return has_fbgemm(weight) and torch.equal(weight.half().float(), weight)


def has_onednn(weight: Tensor) -> bool:
    """True if oneDNN multiplies by such a weight here."""
    has_library: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_library and weight.device.type == "cpu" and weight.dtype == torch.float32


def _through_onednn(
    weight: Tensor, bias: Tensor | None, activation: str, *, is_packed: bool
) -> Callable[[Tensor], Tensor]:
    if activation not in _ONEDNN_ACTIVATIONS:
        return _followed_by(activation, _through_onednn(weight, bias, "", is_packed=is_packed))
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, None) if is_packed else weight
    product, (name, algorithm) = torch.ops.mkldnn._linear_pointwise, _ONEDNN_ACTIVATIONS[activation]

    def multiply(x: Tensor) -> Tensor:
        rows: Tensor = product(x, laid_out, bias, name, [], algorithm)
        return rows

    return multiply


def _followed_by(activation: str, product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if not activation:
        return product
    after = ACT2FN[activation]
    return lambda x: after(product(x))


def _packed(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    product = torch.ops.quantized.linear_dynamic_fp16

    def multiply(x: Tensor) -> Tensor:
        rows: Tensor = product(x, packed)
        return rows

    return multiply


def _rounded(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    # A row of zeros has no scale of its own.
    scales = (weight.abs().amax(1) / 127).clamp(min=torch.finfo(weight.dtype).tiny)
    with warnings.catch_warnings():
        # A later torch will have another way to write down such a weight; this one has no other.
        warnings.filterwarnings("ignore", message=".*deprecated", category=UserWarning)
        zeros = torch.zeros(len(weight), dtype=torch.long)
        rounded = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(rounded, None)
    product = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    levels = 127 if torch.cpu.get_capabilities().get("avx512_vnni") else 63
    tiny = torch.finfo(weight.dtype).tiny

    def multiply(x: Tensor) -> Tensor:
        largest = x.abs().amax(1, keepdim=True).clamp_(min=tiny)
        rows: Tensor = product(x / largest, 1.0 / levels, levels, packed)
        return rows.mul_(largest) if bias is None else torch.addcmul(bias, rows, largest)

    return multiply


def _in_bfloat16(weight: Tensor, bias: Tensor | None, activation: str) -> Callable[[Tensor], Tensor]:
    rounded, added = weight.bfloat16().contiguous(), None if bias is None else bias.bfloat16()
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return _followed_by(activation, lambda x: functional.linear(x.bfloat16(), rounded, added))
    laid_out, product = torch.ops.mkldnn._reorder_linear_weight(rounded, None), torch.ops.mkldnn._linear_pointwise
    name, algorithm = _ONEDNN_ACTIVATIONS[activation]

    def multiply(x: Tensor) -> Tensor:
        rows: Tensor = product(x.bfloat16(), laid_out, added, name, [], algorithm)
        return rows

    return multiply


def _in_pieces(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    pieces = weight.chunk(-(-weight.shape[1] // MOST_BFLOAT16_TERMS), dim=1)
    products = [_in_bfloat16(piece, None if place else bias, "") for place, piece in enumerate(pieces)]

    def multiply(x: Tensor) -> Tensor:
        first, *others = torch.split(x.bfloat16(), pieces[0].shape[1], dim=1)
        total = products[0](first).float()
        for part, product in zip(others, products[1:], strict=True):
            total += product(part)
        return total

    return multiply


def _by_one_thread(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def multiply(x: Tensor) -> Tensor:
        with threads(1):
            return product(x)

    return multiply


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many of torch's for the operations of this thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
