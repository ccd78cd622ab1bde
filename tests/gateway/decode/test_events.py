"""gateway/decode/events.py: every event comes out once, and a wait ends when its condition holds."""

import asyncio

import numpy as np
import pytest

from assay.frame import Frame
from gateway.decode.events import EventQueue, TakenBack, Wait


def frame(seconds: float) -> Frame:
    return Frame(np.zeros((28, 28, 3), np.uint8), seconds)


async def test_events_come_out_in_order_and_none_after_the_last():
    queue, (first, second) = EventQueue(), (frame(0.0), frame(0.5))
    queue.put(first)
    queue.put(second)
    queue.end()
    assert [await queue.get() for _ in range(3)] == [first, second, None]


async def test_four_frames_may_wait_for_the_reader():
    queue = EventQueue()
    for seconds in range(4):
        assert queue.has_room
        queue.put(frame(seconds))
    assert not queue.has_room
    await queue.get()
    assert queue.has_room


def test_a_decode_that_begins_anew_repeats_what_was_put():
    queue = EventQueue()
    for seconds in range(2):
        assert not queue.repeats_frame()
        queue.put(frame(seconds))
    queue.begin_anew()
    assert [queue.repeats_frame() for _ in range(3)] == [True, True, False]


async def test_a_wait_ends_once_its_condition_holds():
    wait, holds = Wait(), []
    waiting = asyncio.create_task(wait.until(lambda: bool(holds)))
    await asyncio.sleep(0)
    wait.wake()
    await asyncio.sleep(0)
    assert not waiting.done()
    holds.append(True)
    wait.wake()
    await waiting


async def test_a_wait_that_is_interrupted_says_so():
    wait = Wait()
    waiting = asyncio.create_task(wait.until(lambda: False))
    await asyncio.sleep(0)
    assert wait.interrupt()
    with pytest.raises(TakenBack):
        await waiting


def test_nobody_who_does_not_wait_can_be_interrupted():
    assert not Wait().interrupt()
