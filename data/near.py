"""Near duplicates: pairs of pictures that look alike, by a 64-bit difference hash.

The hash says of each of 8 x 8 neighbours in a 9 x 8 grey thumbnail whether it gets brighter (after N. Krawetz's dHash).
It survives scaling, recompression and mild changes of exposure, and misses crops, turns and mirrors. Two flat pictures
may look alike to it, so a pair is something to look at and no proof.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from data.tables import BadDataSet

MOST_BITS = 3
"""Hashes that differ in more bits are not searched for: with 4 bands of 16 bits, 3 differences leave one band equal."""
_BANDS = 4


def difference_hash(path: Path) -> int:
    """BadDataSet if the file is no picture that decodes."""
    try:
        with Image.open(path) as picture:
            small = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    except (OSError, UnidentifiedImageError) as error:
        raise BadDataSet(f"{path} is no picture that can be decoded: {error}") from error
    bits = (small[:, 1:] > small[:, :-1]).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes())


def alike(some: Sequence[int], others: Sequence[int], most_bits: int = MOST_BITS) -> Iterator[tuple[int, int, int]]:
    """(place in some, place in others, bits that differ) of every pair that differs in at most `most_bits` bits."""
    if not 0 <= most_bits <= MOST_BITS:
        raise ValueError(f"most_bits must be 0..{MOST_BITS}, got {most_bits = }")
    by_band: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, other in enumerate(others):
        for band in _bands(other):
            by_band[band].append(place)
    for place, one in enumerate(some):
        for candidate in sorted({each for band in _bands(one) for each in by_band.get(band, ())}):
            bits = (one ^ others[candidate]).bit_count()
            if bits <= most_bits:
                yield place, candidate, bits


def _bands(value: int) -> Iterable[tuple[int, int]]:
    return ((band, value >> 16 * band & 0xFFFF) for band in range(_BANDS))
