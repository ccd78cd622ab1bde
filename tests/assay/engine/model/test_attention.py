from collections.abc import Callable

import pytest
import torch

from assay.engine.model.attention import (
    attend,
    attention_is_batch_invariant,
    padded_rows,
    products_are_batch_invariant,
    stacked_mask,
)
from assay.engine.model.linear import Bfloat16Linear, Linear


def _rounded_to_half(weight: torch.Tensor) -> Linear:
    return Linear(weight.half().float())


def _of_many_rows(weight: torch.Tensor) -> Linear:
    return Linear(weight, may_pack=False)


KINDS = (_rounded_to_half, Linear, _of_many_rows, Bfloat16Linear)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("out", "width"), [(96, 64), (64, 384), (512, 256), (1024, 256)])
def test_products_of_any_number_of_rows_agree_to_the_last_bit_on_this_machine(
    out: int, width: int, kind: Callable[[torch.Tensor], Linear]
) -> None:
    torch.manual_seed(0)
    assert products_are_batch_invariant([kind(torch.randn(out, width))], (*range(1, 64, 3), 81, 100, 130, 200))


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("kind", KINDS)
def test_products_on_one_thread_and_on_two_agree_to_the_last_bit_on_this_machine(
    kind: Callable[[torch.Tensor], Linear],
) -> None:
    torch.manual_seed(0)
    assert products_are_batch_invariant([kind(torch.randn(64, 1536))], (1, 30, 81))


class Unsteady(Linear):
    """Its rows hang on how many there are."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return super().__call__(x) + len(x)


def test_a_product_whose_rows_hang_on_their_number_is_found_out() -> None:
    assert not products_are_batch_invariant([Unsteady(torch.ones(4, 4))])


@pytest.mark.parametrize(("count", "filled"), [(1, 4), (4, 4), (5, 8), (28, 28), (29, 36), (32, 36), (200, 204)])
def test_rows_are_filled_up_with_zeros(count: int, filled: int) -> None:
    padded = padded_rows(torch.ones(count, 3))
    assert padded.shape == (filled, 3)
    assert float(padded.sum()) == 3 * count


def test_attention_is_torchs() -> None:
    torch.manual_seed(0)
    q, keys, values = torch.randn(5, 4, 16), torch.randn(2, 40, 16), torch.randn(2, 40, 16)
    mask = torch.zeros(5, 40).masked_fill(torch.rand(5, 40) < 0.5, float("-inf"))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q.transpose(0, 1)[None], keys[None], values[None], attn_mask=mask, enable_gqa=True
    )
    torch.testing.assert_close(
        attend(q, keys, values, stacked_mask(mask, 2)), expected[0].transpose(0, 1), atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize(("heads", "key_heads", "head_dim"), [(4, 2, 64), (4, 4, 16), (6, 1, 32), (12, 2, 128)])
def test_attention_is_the_same_to_the_last_bit_with_more_room_and_other_rows(
    heads: int, key_heads: int, head_dim: int
) -> None:
    assert attention_is_batch_invariant(heads, key_heads, head_dim)


def test_attention_that_hangs_on_the_room_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.engine.model.attention.attend", lambda q, keys, values, mask: q + keys.shape[1])
    assert not attention_is_batch_invariant(4, 2, 16)
