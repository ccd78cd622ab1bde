import pytest
import torch

from assay.engine.batched import look_back
from assay.engine.steady import KEYS_STEP, attend, stacked


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "kept"), [(7, 0), (3, 40), (1, 9)])
def test_a_long_feed_looks_back_as_with_a_mask(rows: int, kept: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    places = rows + kept
    q, keys, values = torch.randn(rows, 6, 16), torch.randn(2, KEYS_STEP, 16), torch.randn(2, KEYS_STEP, 16)
    mask = torch.full((rows, KEYS_STEP), float("-inf")).triu_(kept + 1)
    expected = attend(q, keys, values, stacked(mask, 3))
    halves = [each.to(dtype) for each in (q, keys[:, :places], values[:, :places])]
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 3e-2, "rtol": 3e-2}
    for given in (None, mask[:, :places]):
        torch.testing.assert_close(look_back(*halves, given).float(), expected, **close)  # type: ignore[arg-type]
