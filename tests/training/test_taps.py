"""The teacher's taps: pooled as PyTorch pools, whatever the grid, and at a size near the photo's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.lite0 import Lite0
from training.taps import CHANNELS, Taps, _pooled, teacher_size


@pytest.mark.parametrize("grid", [(12, 12), (9, 14), (10, 13)])
def test_a_tap_is_pooled_over_windows_of_unequal_size_as_by_pytorch(grid: tuple[int, int]) -> None:
    tap = torch.randn(1, 5, 14, 18)
    torch.testing.assert_close(_pooled(tap, grid), functional.adaptive_avg_pool2d(tap, grid), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "size"), [((224, 224), (224, 224)), ((375, 500), (384, 512)), ((900, 600), (576, 352))]
)
def test_the_teacher_looks_at_about_native_detail(shape: tuple[int, int], size: tuple[int, int]) -> None:
    assert teacher_size(*shape) == size


@pytest.mark.slow
def test_the_compiled_teacher_sees_what_pytorch_sees() -> None:
    pytest.importorskip("openvino")
    torch.manual_seed(0)
    net = Lite0(None)
    pixels = np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8)
    read = Taps(net)(pixels, (12, 12))
    x = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127) / 128
    with torch.no_grad():
        taps, _ = net.taps(x)
    means = torch.cat([tap.mean((2, 3)) for tap in taps], 1)[0].numpy()
    assert read.means.shape == (CHANNELS,)
    assert np.corrcoef(read.means, means)[0, 1] > 0.99
