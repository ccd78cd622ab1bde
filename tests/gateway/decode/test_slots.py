"""gateway/decode/slots.py: pixels in memory that two processes map."""

import os
from contextlib import closing

import numpy as np
import pytest

from gateway.decode.slots import SLOTS, FrameSlots

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.fixture
def slots():
    with closing(FrameSlots.create()) as made:
        made.grow(PIXELS.nbytes)
        yield made


def test_the_other_end_reads_what_was_put(slots):
    worker = FrameSlots(os.dup(slots.fd))
    with closing(worker):
        worker.map(slots.slot_bytes)
        worker.put(3, PIXELS)
    np.testing.assert_array_equal(slots.take(3, 4, 6), PIXELS)


def test_what_was_taken_stays_when_the_slot_is_written_again(slots):
    slots.put(0, PIXELS)
    taken = slots.take(0, 4, 6)
    slots.put(0, np.zeros_like(PIXELS))
    np.testing.assert_array_equal(taken, PIXELS)


def test_slots_never_shrink(slots):
    slots.grow(10)
    assert slots.slot_bytes == PIXELS.nbytes
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(slots.fd, 10)


def test_a_frame_that_is_larger_than_a_slot_is_refused(slots):
    with pytest.raises(ValueError, match="for a slot of"):
        slots.put(0, np.zeros((8, 6, 3), np.uint8))


@pytest.mark.parametrize(("slot", "height", "width"), [(SLOTS, 4, 6), (-1, 4, 6), (0, 0, 6), (0, 40, 60)])
def test_a_worker_cannot_name_a_frame_that_is_not_there(slots, slot, height, width):
    with pytest.raises(ValueError, match="no frame can be there"):
        slots.take(slot, height, width)
