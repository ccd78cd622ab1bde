"""Looking: the vision tower in a lane of its own, so that a clip is seen while others are being answered.

Frames travel to the device as they are, a byte a channel, and are cut and normalised there: that is a quarter of the
bytes, and the host has better things to do.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from assay.engine.graphs import Graphs
from assay.engine.lanes import Lane, Mark, pinned
from assay.engine.patches import Patches, PatchLayout
from assay.engine.seen import Seen
from assay.engine.vision import Vision

MOST_GRAPHS = 8
"""Sizes of pictures, times how many go through at once. What lies between a tower's layers is large."""


@dataclass(slots=True, eq=False)
class Look:
    """A clip that is being seen."""

    embeddings: Tensor
    """(clip tokens, width); not before the mark."""
    done: Mark
    is_urgent: bool = False
    """Nobody else has anything to do meanwhile."""


class Looking(Seen):
    """Seen, on a device with lanes."""

    def __init__(self, vision: Vision, most_bytes: int) -> None:
        super().__init__(vision, most_bytes)
        self._lane = Lane(vision.device)
        self.graphs = Graphs(vision.device, most=MOST_GRAPHS)
        self._begun: deque[Mark] = deque()

    def begin(self, clip: Patches, keys: tuple[bytes, ...]) -> Look:
        """Have the clip seen; returns before it is."""
        device = self.vision.device
        with self._lane.work(after=Mark(device)):
            look = Look(self.embeddings(clip, keys, {}), Mark(device))
        self._begun.append(look.done)
        self._let_go()
        return look

    @property
    def is_busy(self) -> bool:
        self._let_go()
        return bool(self._begun)

    def wait(self) -> None:
        if self.is_busy:
            self._begun[0].wait()

    def _let_go(self) -> None:
        """Of what is done."""
        while self._begun and self._begun[0].is_done:
            self._begun.popleft()

    def look(self, clip: Patches, times: Sequence[int]) -> Tensor:
        frames = pinned(torch.from_numpy(np.stack([clip.frames_at(time) for time in times])), self.vision.device)
        step = partial(_see, self.vision, clip.layout)
        return self.graphs.run(("pictures", *frames.shape), step, frames)


def _see(vision: Vision, layout: PatchLayout, frames: Tensor) -> Tensor:
    rows, columns = frames.shape[2] // layout.patch_size, frames.shape[3] // layout.patch_size
    return vision.look(cut(layout, frames), rows, columns)


def cut(layout: PatchLayout, frames: Tensor) -> Tensor:
    """PatchLayout.cut where the frames are: (groups, temporal_patch_size, height, width, 3) uint8 to (groups, rows *
    columns, pixels of a patch) float32."""
    groups, time, height, width, _ = frames.shape
    merge, patch = layout.merge_size, layout.patch_size
    rows, columns = height // patch, width // patch
    # Channel by channel: an array of constants would have to be copied to the device.
    scaled = [
        frames[..., channel].float() * float(scale) - float(shift)
        for channel, (scale, shift) in enumerate(zip(*layout.scales_and_shifts, strict=True))
    ]
    normalised = torch.stack(scaled, dim=-1)
    blocks = normalised.view(groups, time, rows // merge, merge, patch, columns // merge, merge, patch, 3)
    # Blocks of merge x merge patches; inside a patch: channel, frame, row, column.
    return blocks.permute(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(groups, rows * columns, -1)
