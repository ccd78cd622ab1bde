"""A weight is packed where that loses nothing, and the product is torch's."""

import pytest
import torch
from transformers.activations import ACT2FN

from assay.engine.model.linear import Bfloat16Linear, Int8Linear, Linear, can_pack

needs_fbgemm = pytest.mark.skipif(
    "fbgemm" not in torch.backends.quantized.supported_engines, reason="this torch has no FBGEMM"
)


@needs_fbgemm
@pytest.mark.parametrize("rows", [1, 4, 12, 100])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_packed_product_is_torchs(rows: int, has_bias: bool) -> None:
    torch.manual_seed(rows)
    weight, bias = torch.randn(96, 64).half().float(), torch.randn(96) if has_bias else None
    packed, x = Linear(weight, bias), torch.randn(rows, 64)
    assert packed.is_packed
    torch.testing.assert_close(packed(x), torch.nn.functional.linear(x, weight, bias), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("may_pack", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "silu", "quick_gelu", "gelu_pytorch_tanh"])
def test_an_activation_behind_a_product_is_transformers_own(activation: str, may_pack: bool) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(96, 64), torch.randn(96), torch.randn(20, 64)
    product = Linear(weight, bias, may_pack=may_pack, activation=activation)
    expected = ACT2FN[activation](torch.nn.functional.linear(x, weight, bias))
    torch.testing.assert_close(product(x), expected, atol=2e-5, rtol=1e-5)


def test_a_weight_that_float16_cannot_hold_is_not_rounded_to_it() -> None:
    third = torch.full((8, 8), 1 / 3)
    assert not can_pack(third)
    x = torch.randn(3, 8)
    torch.testing.assert_close(Linear(third)(x), torch.nn.functional.linear(x, third))


@pytest.mark.parametrize("value", [1e-9, 1e6])
def test_what_is_too_small_or_too_large_for_float16_is_not_packed(value: float) -> None:
    assert not can_pack(torch.full((8, 8), value))


@needs_fbgemm
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("kind", [Int8Linear, Bfloat16Linear])
def test_a_rounded_product_is_within_two_hundredths_of_torchs(kind: type[Linear], has_bias: bool) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(96, 64), torch.randn(96) if has_bias else None
    x, expected = torch.randn(300, 64), torch.nn.functional.linear
    off = kind(weight, bias)(x) - expected(x, weight, bias)
    assert float(off.norm() / expected(x, weight).norm()) < 0.02


@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_an_activation_is_done_before_products_are_rounded(activation: str) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(96, 64) / 8, torch.randn(96), torch.randn(30, 64)
    expected = getattr(torch.nn.functional, activation)(torch.nn.functional.linear(x, weight, bias))
    assert float((Bfloat16Linear(weight, bias, activation=activation)(x) - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize("is_whole", [False, True])
def test_rows_longer_than_one_piece_are_multiplied_in_bfloat16(is_whole: bool) -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(16, 1000) / 32, torch.randn(16), torch.randn(30, 1000)
    expected = torch.nn.functional.linear(x, weight, bias)
    assert float((Bfloat16Linear(weight, bias, is_whole=is_whole)(x) - expected).norm() / expected.norm()) < 0.02


@needs_fbgemm
def test_large_products_in_8_bits_do_not_overflow() -> None:
    x, weight = torch.full((4, 512), 9.0), torch.full((8, 512), 9.0)
    assert torch.allclose(Int8Linear(weight)(x), torch.full((4, 8), 512 * 81.0), rtol=0.01)


@needs_fbgemm
def test_a_row_in_8_bits_is_the_same_next_to_far_larger_ones() -> None:
    torch.manual_seed(0)
    product, x = Int8Linear(torch.randn(96, 64), torch.randn(96)), torch.randn(40, 64)
    larger = torch.cat([1e4 * torch.randn(7, 64), x, torch.zeros(2, 64)])
    assert torch.equal(product(larger)[7:47], product(x))


@needs_fbgemm
def test_a_row_of_zeros_has_a_product_in_8_bits() -> None:
    assert torch.equal(Int8Linear(torch.zeros(8, 8))(torch.ones(2, 8)), torch.zeros(2, 8))
