"""EfficientNet-lite0, the ImageNet teacher: the outputs of seven blocks and class logits."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEATURES = 1280
TAPPED = (0, 2, 4, 7, 10, 13, 15)
"""Blocks whose outputs are the teacher's taps: 784 channels together."""
# (repeats, kernel, stride of the first, channels out); every stage but the first expands by 6.
_STAGES = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))


class _InvertedResidual(nn.Module):
    """Inverted residual without squeeze-and-excite, attribute names as in the published weights."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = channels_in * expand
        self.expand = expand
        self.residual = stride == 1 and channels_in == channels_out
        if expand > 1:
            self._expand_conv = nn.Conv2d(channels_in, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=1e-3)
        padding = (kernel - 1) // 2
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, padding, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
        self._project_conv = nn.Conv2d(inner, channels_out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expand > 1 else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.residual else y
        return out


class Lite0(nn.Module):
    """Frozen; evaluation mode only."""

    def __init__(self, weights_file: Path | None) -> None:
        """None: random weights."""
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks: list[nn.Module] = []
        channels = 32
        for stage, (repeats, kernel, stride, channels_out) in enumerate(_STAGES):
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(_InvertedResidual(channels, channels_out, kernel, step, 1 if stage == 0 else 6))
                channels = channels_out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, _FEATURES, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(_FEATURES, eps=1e-3)
        self._fc = nn.Linear(_FEATURES, 1000)
        if weights_file is not None:
            self.load_state_dict(torch.load(weights_file, map_location="cpu", weights_only=True))
        self.eval()

    def taps(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """(batch, 3, height, width) in units of (level - 127) / 128, of any size -> the seven taps, each (batch,
        channels, rows, columns), and logits (batch, 1000). That is the input that the published weights were made for.
        """
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        taps = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in TAPPED:
                taps.append(x)
        pooled = functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        return taps, self._fc(pooled)
