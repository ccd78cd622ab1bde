import asyncio

from gateway.decode_clock import WorkClock


async def test_it_rings_once_more_was_computed_than_granted():
    rung = asyncio.Event()
    WorkClock(rung.set).start(0.01)
    await asyncio.wait_for(rung.wait(), 30)


async def test_it_stands_still_while_the_worker_waits():
    rung = asyncio.Event()
    clock = WorkClock(rung.set)
    clock.start(0.2)
    clock.stop()
    await asyncio.sleep(0.3)
    assert not rung.is_set()


async def test_work_in_pieces_adds_up():
    rung, pieces = asyncio.Event(), 0
    clock = WorkClock(rung.set)
    while not rung.is_set():
        clock.start(0.1)
        await asyncio.sleep(0.02)
        clock.stop()
        pieces += not rung.is_set()
    assert 0 < pieces <= 5


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


async def test_it_does_not_ring_after_the_job():
    rung = asyncio.Event()
    clock = WorkClock(rung.set)
    clock.start(0.05)
    clock.close()
    await asyncio.sleep(0.2)
    assert not rung.is_set()
