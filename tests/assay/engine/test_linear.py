"""A weight is packed where that loses nothing, and the product is torch's."""

import pytest
import torch

from assay.engine.linear import Linear, can_pack

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


def test_a_weight_that_float16_cannot_hold_is_not_packed() -> None:
    third = torch.full((8, 8), 1 / 3)
    assert not can_pack(third)
    x = torch.randn(3, 8)
    assert torch.equal(Linear(third)(x), torch.nn.functional.linear(x, third))


@pytest.mark.parametrize("value", [1e-9, 1e6])
def test_what_is_too_small_or_too_large_for_float16_is_not_packed(value: float) -> None:
    assert not can_pack(torch.full((8, 8), value))
