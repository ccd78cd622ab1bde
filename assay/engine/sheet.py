"""Sheet: what one forward over the desk needs to know, as one block of whole numbers in one of a few shapes.

A graph is good for one shape, so feeds are filled up to a bucket, and all that changes from one forward to the next
travels to the device in a single copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.engine.runner import Feed

MOST_ROWS = 256
"""Rows that go through the layers together. A GPU does so many in the time in which it reads the weights once."""
FEWEST_ROWS = 8
PLACES_STEP = 512
LONGEST_STEPS = (4, 16, 64)
"""Rows of one sequence."""
MOST_LONGEST = LONGEST_STEPS[-1]

TOKEN, POSITIONS, SEAT, PLACE, SLOT, KEEP, SEES = 0, slice(1, 4), 4, 5, 6, 7, 8
"""Columns of a sheet. From SEES on: which rows of its own feed a row sees, the first one first."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The shape of a forward: at least what there is, by rounded numbers."""

    rows: int
    """Of all sequences together."""
    sequences: int
    longest: int
    """Rows of one sequence."""
    places: int
    """Remembered tokens that are looked at."""

    @classmethod
    def around(cls, feeds: Sequence[Feed]) -> "Bucket":
        counts = [len(feed.token_ids) for feed in feeds]
        return cls(
            rows=max(_power(sum(counts)), FEWEST_ROWS),
            sequences=_power(len(feeds)),
            longest=next(step for step in LONGEST_STEPS if step >= max(counts)),
            places=_power(max(-(-(feed.keep + len(feed.token_ids)) // PLACES_STEP) for feed in feeds)) * PLACES_STEP,
        )

    @property
    def slots(self) -> int:
        """Places for rows, each sequence with equally many; the one behind the last takes rows that only fill up."""
        return self.sequences * self.longest


def _power(count: int) -> int:
    """The power of two that is not smaller."""
    return 1 << (count - 1).bit_length()


def sheet(bucket: Bucket, turns: Sequence[tuple[Feed, Tensor, int]], spare_place: int) -> Tensor:
    """(rows, SEES + longest) int32 for a feed, its (3, tokens) positions and its seat each, one behind the other.

    Rows that only fill up are written into the spare place of the first seat, and see its first one.
    """
    written = torch.zeros(bucket.rows, SEES + bucket.longest, dtype=torch.int32)
    written[:, PLACE], written[:, SLOT], written[:, KEEP] = spare_place, bucket.slots, 1
    first = 0
    for feed, positions, seat in turns:
        count = len(feed.token_ids)
        rows = written[first : first + count]
        steps = torch.arange(count)
        rows[:, TOKEN] = torch.tensor(feed.token_ids)
        rows[:, POSITIONS] = positions.t()
        rows[:, SEAT], rows[:, KEEP] = seat, feed.keep
        rows[:, PLACE], rows[:, SLOT] = feed.keep + steps, seat * bucket.longest + steps
        rows[:, SEES : SEES + count] = torch.from_numpy(sees(feed))
        first += count
    return written


def sees(feed: Feed) -> NDArray[np.bool_]:
    """(tokens, tokens): whom of the fed ones each sees, itself included."""
    count = len(feed.token_ids)
    if feed.is_chain:
        return np.tri(count, dtype=bool)
    seen = np.eye(count, dtype=bool)
    for place, parent in enumerate(feed.parents):
        if parent >= 0:
            seen[place] |= seen[parent]
    return seen
