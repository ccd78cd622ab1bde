"""A worker belongs to bytes that are there: who waits for a client, or for a reader, keeps it from nobody."""

import asyncio
import dataclasses
import os
import random
import signal
from contextlib import suppress

import numpy as np
import pytest

from assay.errors import AssayError, Busy, OverLimit, UploadStalled
from gateway.decode import lending
from gateway.decode.jobs import DecodePool
from gateway.decode.spec import DecodeSource
from tests.gateway.decode.test_jobs import begun, until
from tests.gateway.decode.upload import PICTURE, VIDEO, Decoded, decode, upload
from tests.hostile.sandbox import processor_seconds
from tests.media.build import media

FILM = media("mp4_faststart.mp4").read_bytes()
LIVE = dataclasses.replace(VIDEO, source=DecodeSource.STREAM)
DENSE = dataclasses.replace(VIDEO, frames_per_second=25.0)


@pytest.fixture
async def lonely():
    """One worker and no other process."""
    async with DecodePool(workers=1, spares=0, wait_seconds=20) as pool:
        yield pool


def is_at_rest(pool):
    return len(pool._idle) == len(pool.worker_pids) == pool._size and not pool._turns_wanted and not pool._waiters


async def everything(job, decoded):
    async for event in job.events():
        decoded.take(event)


@pytest.mark.parametrize("sent", [5_000, 100_000, len(FILM) - 1, len(FILM)])
async def test_a_slow_upload_gives_way_and_comes_to_the_same_end(lonely, sent):
    alone = await decode(lonely, FILM, DENSE)
    decoded = Decoded()
    async with lonely.open(DENSE) as slow, asyncio.TaskGroup() as group:
        group.create_task(everything(slow, decoded))
        await begun(slow, FILM[:sent])
        assert (await decode(lonely, "jpeg.jpg", PICTURE)).info.container == "jpeg"
        assert slow.worker_pid is None
        await slow.write(FILM[sent:])
        await slow.end()
    assert decoded.times == alone.times
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(decoded.frames, alone.frames, strict=True))
    assert decoded.summary == alone.summary


async def test_a_picture_whose_client_is_slow_gives_way(lonely):
    data = media("jpeg.jpg").read_bytes()
    async with lonely.open(PICTURE) as slow:
        await begun(slow, data[:-1])
        assert (await decode(lonely, FILM, VIDEO)).summary.frames_sampled == 8
        await slow.write(data[-1:])
        await slow.end()
        assert [type(event).__name__ async for event in slow.events()] == ["MediaInfo", "Frame", "DecodeSummary"]


async def test_too_few_bytes_to_know_the_file_get_no_worker(lonely):
    async with lonely.open(VIDEO) as job:
        await job.write(FILM[:1000])
        await asyncio.sleep(0.05)
        assert job.worker_pid is None


async def test_an_upload_that_gave_way_asks_again_when_twice_as_much_is_there(lonely):
    async with lonely.open(VIDEO) as slow:
        await begun(slow, FILM[:50_000])
        await decode(lonely, "jpeg.jpg", PICTURE)
        await slow.write(FILM[50_000:99_000])
        await asyncio.sleep(0.05)
        assert slow.worker_pid is None
        await begun(slow, FILM[99_000:101_000])


async def test_who_finds_no_worker_in_time_is_asked_to_come_back():
    async with DecodePool(workers=1, spares=0, wait_seconds=0.2) as pool, pool.open(LIVE) as live:
        await begun(live, media("mpegts.ts").read_bytes()[:100_000])  # a live stream does not give way
        with pytest.raises(Busy, match=r"no decoder became free within 0\.2 s"):
            await decode(pool, "jpeg.jpg", PICTURE)


async def test_an_upload_too_large_to_be_held_is_ended_when_it_pauses_and_others_wait(monkeypatch):
    monkeypatch.setattr(lending, "_LAST_PATIENCE_SECONDS", 0.1)
    async with DecodePool(workers=1, spares=0, upload_spool_bytes=0) as pool, pool.open(VIDEO) as large:
        reading = asyncio.create_task(everything(large, Decoded()))
        await begun(large, FILM[:400_000])
        await until(lambda: not large.can_begin_anew)
        assert (await decode(pool, "jpeg.jpg", PICTURE)).frames
        with pytest.raises(UploadStalled, match="without a pause"):
            await reading


async def test_an_upload_too_large_to_be_held_comes_to_its_end():
    async with DecodePool(workers=1, spares=0, upload_spool_bytes=0, spool_bytes=0) as pool:
        several = await asyncio.gather(*(decode(pool, FILM, VIDEO) for _ in range(3)))
    assert [len(each.frames) for each in several] == [8] * 3


async def test_who_takes_no_frames_keeps_nobody_from_decoding():
    async with DecodePool(workers=1, spares=0, max_processes=2) as pool, pool.open(DENSE) as unread:
        sending = asyncio.create_task(upload(unread, FILM, 65536))
        await until(lambda: not unread._events.has_room)
        assert (await decode(pool, "jpeg.jpg", PICTURE)).frames
        assert len(pool.worker_pids) == 2
        sending.cancel()


async def test_processes_that_are_not_needed_any_more_go(monkeypatch):
    monkeypatch.setattr("gateway.decode.pool._REST_SECONDS", 0.1)
    async with DecodePool(workers=1, spares=0, max_processes=2) as pool:
        async with pool.open(DENSE) as unread:
            sending = asyncio.create_task(upload(unread, FILM, 65536))
            await until(lambda: not unread._events.has_room)
            await decode(pool, "jpeg.jpg", PICTURE)
            sending.cancel()
        await until(lambda: len(pool.worker_pids) == 1)


async def test_cancelling_costs_less_than_asking_and_replaces_nobody():
    chance = random.Random(0)
    async with DecodePool(workers=2, spares=1) as pool:
        pids = set(pool.worker_pids)

        async def cancelled():
            async with pool.open(DENSE) as job:
                sending = asyncio.create_task(upload(job, FILM, 65536))
                with suppress(TimeoutError):
                    async with asyncio.timeout(chance.random() * 0.1):
                        await everything(job, Decoded())
                sending.cancel()

        def spent():
            return sum(map(processor_seconds, pids))

        await decode(pool, FILM, DENSE)
        start = spent()
        await decode(pool, FILM, DENSE)
        asking = spent() - start
        await asyncio.gather(*(cancelled() for _ in range(30)))
        await until(lambda: is_at_rest(pool))
        assert set(pool.worker_pids) == pids
        assert spent() - start - asking < 30 * asking
        assert pool._spool.left_bytes == 1 << 30


async def test_a_worker_that_does_not_obey_in_time_is_replaced(monkeypatch, lonely):
    monkeypatch.setattr(lending, "SETTLE_SECONDS", 0.1)
    (pid,) = lonely.worker_pids
    async with lonely.open(VIDEO) as job:
        await begun(job, FILM[:50_000])
        os.kill(pid, signal.SIGSTOP)
    await until(lambda: is_at_rest(lonely) and lonely.worker_pids != [pid])


async def test_a_worker_that_dies_while_others_wait_is_replaced_for_them(lonely):
    async with lonely.open(DENSE) as unread:
        sending = asyncio.create_task(upload(unread, FILM, 65536))
        await until(lambda: not unread._events.has_room)
        waiting = asyncio.create_task(decode(lonely, "jpeg.jpg", PICTURE))
        await until(lambda: lonely._waiters)
        os.kill(unread.worker_pid, signal.SIGKILL)
        with pytest.raises(AssayError, match="broke off"):
            await everything(unread, Decoded())
        assert (await waiting).frames
        await sending


async def test_who_is_cancelled_while_it_waits_for_a_worker_leaves_nothing_behind(lonely):
    async with lonely.open(DENSE) as unread:
        sending = asyncio.create_task(upload(unread, FILM, 65536))
        await until(lambda: not unread._events.has_room)
        waiting = [asyncio.create_task(decode(lonely, "jpeg.jpg", PICTURE)) for _ in range(5)]
        await until(lambda: len(lonely._waiters) == 5)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        sending.cancel()
    await until(lambda: is_at_rest(lonely))


async def test_a_file_over_a_budget_is_refused_for_good_and_not_begun_anew(lonely):
    spec = dataclasses.replace(VIDEO, limits=dataclasses.replace(VIDEO.limits, max_frames=10))
    async with lonely.open(spec) as slow:
        await begun(slow, FILM[:-1])
        with pytest.raises(OverLimit, match="more than 10 frames"):
            await everything(slow, Decoded())
