import asyncio
import dataclasses
import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from assay.errors import AssayError, BadMedia, InvalidRequest, OverLimit, ServiceUnavailable
from assay.frame import Frame
from assay.rpc.call import request_id
from gateway.decode.jobs import DecodePool
from gateway.decode.spec import DecodeLimits, DecodeSpec, DecodeSummary, MediaInfo
from tests.gateway.decode.upload import PICTURE, TARGET, VIDEO, decode
from tests.media.build import media
from tests.media.first_frame import film


def is_running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def until(condition, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what happens, happens in another process
            await asyncio.sleep(0.02)


async def write_on(job, data=bytes(65536)):
    """Write until the job says what is wrong."""
    for _ in range(1000):
        await job.write(data)
        await asyncio.sleep(0.001)


async def begun(job, data):
    """Write the beginning of a file, and wait until a worker works on it."""
    await job.write(data)
    await until(lambda: job.worker_pid is not None)


async def exhaust(job):
    async for _ in job.events():
        pass


def shared_memory():
    return {path.name for path in Path("/dev/shm").iterdir() if path.name.startswith(("assay", "psm", "sem"))}


@pytest.mark.asyncio(loop_scope="session")
async def test_events_come_as_info_then_frames_then_summary(pool):
    async with pool.open(PICTURE) as job, asyncio.TaskGroup() as group:
        group.create_task(job.write(media("jpeg.jpg").read_bytes())).add_done_callback(
            lambda _: group.create_task(job.end())
        )
        kinds = [type(event) async for event in job.events()]
    assert kinds == [MediaInfo, Frame, DecodeSummary]


@pytest.mark.asyncio(loop_scope="session")
async def test_a_worker_serves_one_upload_after_another(pool):
    before = set(pool.worker_pids)
    for name in ("jpeg.jpg", "jpeg_truncated.jpg", "png.png", "text_renamed.jpg", "gif.gif"):
        try:
            await decode(pool, name, PICTURE)
        except BadMedia:
            continue
    assert set(pool.worker_pids) == before


@pytest.mark.asyncio(loop_scope="session")
async def test_more_uploads_than_workers_wait_for_their_turn(pool):
    names = ["mp4_faststart.mp4", "mkv.mkv", "webm.webm", "mpegts.ts", "flv.flv"]
    decoded = await asyncio.gather(*(decode(pool, name, VIDEO) for name in names))
    assert [len(one.frames) for one in decoded] == [8] * 5


@pytest.mark.asyncio(loop_scope="session")
async def test_write_raises_what_is_wrong_with_the_file(pool):
    async with pool.open(PICTURE) as job:
        with pytest.raises(InvalidRequest):
            await write_on(job, media("mp4_faststart.mp4").read_bytes()[:65536])


@pytest.mark.asyncio(loop_scope="session")
async def test_write_waits_while_nobody_takes_the_frames(pool):
    data = 3 * film("MPEG-TS")
    async with pool.open(DecodeSpec(True, TARGET, frames_per_second=25.0)) as job:

        async def send():
            for start in range(0, len(data), 16384):
                await job.write(data[start : start + 16384])

        sending = asyncio.create_task(send())
        done, _ = await asyncio.wait({sending}, timeout=1.0)
        sending.cancel()
    assert not done


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("sent", [0, 100, 300_000])
async def test_an_upload_that_is_given_up_frees_its_worker(pool, sent):
    for _ in range(4):
        async with pool.open(VIDEO) as job:
            if sent:
                await job.write(media("mp4_moov_at_end.mp4").read_bytes()[:sent])
    assert len((await decode(pool, "jpeg.jpg", PICTURE)).frames) == 1


@pytest.mark.asyncio(loop_scope="session")
async def test_an_upload_over_the_limit_fails_on_both_sides(pool):
    spec = dataclasses.replace(VIDEO, limits=DecodeLimits(max_video_bytes=1000))
    async with pool.open(spec) as job:
        with pytest.raises(OverLimit, match="1000 bytes"):
            await job.write(bytes(2000))
        with pytest.raises(OverLimit, match="1000 bytes"):
            await exhaust(job)


async def test_a_worker_that_is_killed_fails_its_own_upload_and_no_other():
    data = media("mp4_faststart.mp4").read_bytes()
    async with DecodePool(workers=2, spares=1) as pool, pool.open(VIDEO) as victim, pool.open(VIDEO) as other:
        await begun(victim, data[:100_000])
        await begun(other, data[:100_000])
        os.kill(victim.worker_pid, signal.SIGSEGV)
        with pytest.raises(BadMedia, match="the decoder broke off"):
            await write_on(victim)
        await other.write(data[100_000:])
        finishing = asyncio.create_task(other.end())
        frames = [event async for event in other.events() if isinstance(event, Frame)]
        await finishing
    assert len(frames) == 8


async def test_what_a_worker_prints_when_it_crashes_is_logged_with_its_request(caplog):
    request_id.set("crash-1")
    async with DecodePool(workers=1, spares=0) as pool, pool.open(VIDEO) as job:
        await begun(job, media("mp4_faststart.mp4").read_bytes()[:100_000])
        os.kill(job.worker_pid, signal.SIGSEGV)
        await until(lambda: any("Segmentation fault" in record.getMessage() for record in caplog.records))
    crash = next(record for record in caplog.records if "Segmentation fault" in record.getMessage())
    assert (crash.facts["program"], crash.facts["request_id"]) == ("decode_worker", "crash-1")


async def test_a_worker_that_hangs_is_killed_when_its_time_is_up():
    spec = dataclasses.replace(VIDEO, limits=DecodeLimits(max_wall_seconds=0.5))
    async with DecodePool(workers=1, spares=0) as pool:
        async with pool.open(spec) as job:
            await begun(job, media("mp4_faststart.mp4").read_bytes()[:100_000])
            hung = job.worker_pid
            os.kill(hung, signal.SIGSTOP)
            with pytest.raises(OverLimit, match=r"0\.5 s granted"):
                await write_on(job)
        await until(lambda: not is_running(hung))


async def test_a_worker_that_runs_out_of_processor_time_says_so():
    async with DecodePool(workers=1, spares=0) as pool, pool.open(VIDEO) as job:
        await begun(job, media("mp4_faststart.mp4").read_bytes()[:100_000])
        os.kill(job.worker_pid, signal.SIGXCPU)
        with pytest.raises(OverLimit, match="1230 s of processor time"):
            await write_on(job)


async def test_a_spare_takes_the_place_of_a_dead_worker_at_once():
    async with DecodePool(workers=1, spares=1) as pool:
        standing_by = pool.worker_pids
        beginning = media("jpeg.jpg").read_bytes()[:5000]
        async with pool.open(PICTURE) as job:
            await begun(job, beginning)
            os.kill(job.worker_pid, signal.SIGKILL)
            await job.end()
            with pytest.raises(BadMedia):
                await exhaust(job)
        async with pool.open(PICTURE) as job:
            await begun(job, beginning)
            assert job.worker_pid in standing_by
        await until(lambda: len(pool.worker_pids) == 2)


async def test_a_worker_that_dies_while_idle_is_replaced():
    async with DecodePool(workers=1, spares=0) as pool:
        (victim,) = pool.worker_pids
        os.kill(victim, signal.SIGKILL)
        await until(lambda: not is_running(victim))
        assert len((await decode(pool, "jpeg.jpg", PICTURE)).frames) == 1


async def test_a_worn_worker_is_replaced():
    async with DecodePool(workers=1, spares=0, jobs_per_worker=2) as pool:
        first = pool.worker_pids
        for _ in range(3):
            await decode(pool, "jpeg.jpg", PICTURE)
        assert pool.worker_pids != first


async def test_no_process_remains_after_close():
    async with DecodePool(workers=2, spares=1) as pool:
        pids = pool.worker_pids
        async with pool.open(VIDEO) as job:
            await job.write(media("mp4_faststart.mp4").read_bytes()[:200_000])
    assert [pid for pid in pids if is_running(pid)] == []


async def test_nothing_remains_in_shared_memory():
    before = shared_memory()
    async with DecodePool(workers=1, spares=0) as pool:
        await decode(pool, "mp4_faststart.mp4", VIDEO)
        os.kill(pool.worker_pids[0], signal.SIGKILL)
    assert shared_memory() <= before


async def test_an_upload_under_way_learns_that_the_gateway_shuts_down():
    pool = DecodePool(workers=1, spares=0)
    await pool.start()
    async with pool.open(VIDEO) as job:
        await job.write(media("mp4_faststart.mp4").read_bytes()[:50_000])
        await pool.close()
        with pytest.raises(ServiceUnavailable):
            await write_on(job)


async def test_a_worker_dies_with_its_gateway():
    program = (
        "import asyncio, os\n"
        "from gateway.decode.jobs import DecodePool\n"
        "async def main():\n"
        "    pool = DecodePool(workers=1, spares=0)\n"
        "    await pool.start()\n"
        "    print(*pool.worker_pids, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    gateway = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    reported, _ = await gateway.communicate()
    await until(lambda: not is_running(int(reported)))


async def test_a_worker_knows_nothing_of_the_environment_and_may_write_no_file():
    async with DecodePool(workers=1, spares=0) as pool:
        worker = psutil.Process(pool.worker_pids[0])
        assert "HOME" not in worker.environ()
        with open(f"/proc/{worker.pid}/limits") as limits:  # noqa: ASYNC230 - no disk behind it
            assert re.search(r"Max file size +0 +0 ", limits.read())


async def test_a_worker_loads_nothing_that_can_speak_to_a_network():
    program = "import gateway.decode.worker.__main__, sys; print(*sys.modules)"
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    modules, _ = await worker.communicate()
    assert not {"asyncio", "ssl", "grpc", "http", "urllib.request", "torch"} & set(modules.decode().split())


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 61.0])
async def test_a_senseless_frame_rate_is_the_fault_of_the_request(rate):
    with pytest.raises(AssayError, match="frames_per_second"):
        DecodeSpec(True, TARGET, frames_per_second=rate)
