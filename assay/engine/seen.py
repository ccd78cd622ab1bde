"""Seen: the embeddings of frame groups, kept, so that a live window pays for its new frames only."""

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.engine.kept import Kept
from assay.engine.patches import Patches
from assay.engine.vision import Vision

MOST_PATCHES = 4096
"""Go through the tower at once; what lies between its layers takes memory."""


class Seen:
    """A vision tower that remembers."""

    def __init__(self, vision: Vision, most_bytes: int) -> None:
        self.vision = vision
        self.kept: Kept[bytes, Tensor] = Kept(most_bytes, lambda seen: seen.element_size() * seen.numel())

    def embeddings(self, clip: Patches, keys: tuple[bytes, ...]) -> Tensor:
        """(clip tokens, width); a key for each group of frames, by what they show."""
        found = {key: kept for key in dict.fromkeys(keys) if (kept := self.kept.get(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        self.kept.uses.found += len(found)
        self.kept.uses.missed += len(missing)
        _, rows, columns = clip.grid_thw
        at_once = max(MOST_PATCHES // (rows * columns), 1)
        for first in range(0, len(missing), at_once):
            some = missing[first : first + at_once]
            for key, seen in zip(some, self.look(clip, [keys.index(key) for key in some]), strict=True):
                found[key] = seen.clone()
                self.kept.put(key, found[key])
        return torch.cat([found[key] for key in keys])

    def look(self, clip: Patches, times: Sequence[int]) -> Tensor:
        """(times, tokens of a group, width): the groups of frames at these places in time."""
        _, rows, columns = clip.grid_thw
        patches = torch.stack([torch.from_numpy(clip.group(time)) for time in times])
        return self.vision.look(patches.to(self.vision.device), rows, columns)
