"""Taps: what the frozen ImageNet teacher sees inside itself, pooled over the whole picture and over each vision token.

Seven of EfficientNet-lite0's blocks, 784 channels together, with a linear regression on their means judge photos from
elsewhere better than any of its later layers does (measured: training/LOG.md). Computed by OpenVINO in bfloat16: a
sixth of what the same network costs in PyTorch.
"""

import functools
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from training.degrade import Pixels
from training.lite0 import TAPPED, Lite0

Floats = NDArray[np.float32]
CHANNELS = 784
SIZES_PX = ((224, 224), (448, 448), (384, 512), (512, 384), (352, 576), (576, 352))
"""(height, width) at which the teacher looks: a photo of 224 px as it is, larger ones at about 448 x 448."""


@dataclass(frozen=True, slots=True)
class TapReading:
    """What the teacher sees of one picture."""

    means: Floats
    """(784,)"""
    logits: Floats
    """(1000,), ImageNet's classes."""
    grid: Floats | None
    """(rows * columns, 784) over the vision tokens, row by row; None where none was asked for."""


class _Tapped(nn.Module):
    def __init__(self, net: Lite0, grid: tuple[int, int] | None) -> None:
        super().__init__()
        self.net, self.grid = net, grid

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        taps, logits = self.net.taps(x)
        means = torch.cat([tap.mean((2, 3)) for tap in taps], 1)
        if self.grid is None:
            return means, logits
        return means, logits, torch.cat([_pooled(tap, self.grid) for tap in taps], 1)


def _pooled(tap: Tensor, grid: tuple[int, int]) -> Tensor:
    """Adaptive average pooling, as two products: ONNX has none whose windows are of unequal size."""
    down, across = (_windows(int(side), parts) for side, parts in zip(tap.shape[2:], grid, strict=True))
    return down @ tap @ across.T


def _windows(side: int, parts: int) -> Tensor:
    """(parts, side): each row is the mean over one window; windows as PyTorch's adaptive pooling has them."""
    table = np.zeros((parts, side), np.float32)
    for part in range(parts):
        window = slice(part * side // parts, -(-(part + 1) * side // parts))
        table[part, window] = 1 / (window.stop - window.start)
    return torch.from_numpy(table)


class Taps:
    """The teacher, compiled for each size of picture when that first occurs."""

    def __init__(self, net: Lite0) -> None:
        self._net = net
        self._compiled = functools.cache(self._compile)

    def __call__(self, pixels: Pixels, grid: tuple[int, int] | None = None) -> TapReading:
        """pixels (height, width, 3) uint8 RGB at native size; grid (rows, columns) of vision tokens."""
        height_px, width_px = teacher_size(*pixels.shape[:2])
        picture = Image.fromarray(pixels)
        if picture.size != (width_px, height_px):
            picture = picture.resize((width_px, height_px), Image.Resampling.BICUBIC)
        x = (np.asarray(picture, np.float32) - 127) / 128
        found = self._compiled(height_px, width_px, grid)([x.transpose(2, 0, 1)[None]])
        spread = None if grid is None else np.ascontiguousarray(found[2][0].reshape(CHANNELS, -1).T)
        return TapReading(found[0][0].copy(), found[1][0].copy(), spread)

    def _compile(self, height_px: int, width_px: int, grid: tuple[int, int] | None) -> Any:
        # Takes a second to import, and only who asks the teacher needs it.
        import openvino

        assert len(TAPPED) == 7
        # By way of a file: OpenVINO's own converter tells its makers of every use.
        file, example = io.BytesIO(), torch.zeros(1, 3, height_px, width_px)
        with torch.no_grad():
            torch.onnx.export(_Tapped(self._net, grid).eval(), (example,), file, dynamo=False)  # type: ignore[arg-type]
        core = openvino.Core()
        how = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "bf16"}
        return core.compile_model(core.read_model(file.getvalue(), b""), "CPU", how)


def teacher_size(height_px: int, width_px: int) -> tuple[int, int]:
    """The one of SIZES_PX nearest in aspect; 224 x 224 for a picture that is hardly larger."""
    if max(height_px, width_px) <= 256:
        return SIZES_PX[0]
    aspect = np.log(height_px / width_px)
    return min(SIZES_PX[1:], key=lambda size: abs(np.log(size[0] / size[1]) - aspect))
