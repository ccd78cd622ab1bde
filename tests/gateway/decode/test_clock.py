import asyncio

import pytest

from gateway.decode.clock import WorkClock


async def test_it_rings_once_more_was_computed_than_granted():
    rung = asyncio.Event()
    WorkClock(rung.set).start(0.01)
    await asyncio.wait_for(rung.wait(), 30)


@pytest.mark.parametrize("rest", [WorkClock.stop, WorkClock.close])
async def test_it_does_not_ring_while_the_worker_waits_or_after_its_job(rest):
    rung = asyncio.Event()
    clock = WorkClock(rung.set)
    clock.start(0.05)
    rest(clock)
    await asyncio.sleep(0.2)
    assert not rung.is_set()


async def test_work_in_pieces_adds_up():
    rung, pieces = asyncio.Event(), 0
    clock = WorkClock(rung.set)
    while not rung.is_set():
        clock.start(0.1)
        await asyncio.sleep(0.02)
        clock.stop()
        pieces += not rung.is_set()
    assert pieces <= 5  # or fewer, where a sleep takes longer


async def test_a_grant_that_grew_moves_the_alarm():
    rung = asyncio.Event()
    clock = WorkClock(rung.set)
    clock.start(0.05)
    clock.stop()
    clock.start(3600.0)
    await asyncio.sleep(0.2)
    assert not rung.is_set()


async def test_a_grant_that_shrank_moves_the_alarm():
    rung = asyncio.Event()
    clock = WorkClock(rung.set)
    clock.start(3600.0)
    clock.stop()
    clock.start(0.01)
    await asyncio.wait_for(rung.wait(), 30)
