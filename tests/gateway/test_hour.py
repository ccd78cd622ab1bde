"""A long video takes no more memory than a short one: a quick sample of `python -m tests.hour`."""

import asyncio
from pathlib import Path

import pytest

from assay.client import AsyncClient, VideoOptions
from assay.stack.program import Program
from tests import hour
from tests.gateway.serving import services
from tests.scripted_generator import ScriptedGenerator

ROOT = Path(__file__).parents[2]


async def scored(path, addresses, log):
    """By a gateway of its own: the judgement, and the peaks of gateway and worker."""
    settings = {
        "GATEWAY_ADDRESS": "127.0.0.1:0",
        "GATEWAY_ATTRIBUTE_EXTRACTION": addresses[0],
        "GATEWAY_SCORING": addresses[1],
        "GATEWAY_DECODE_WORKERS": "1",
        "GATEWAY_DECODE_SPARES": "0",
    }
    program = Program("gateway", "gateway", settings, ROOT, log)
    try:
        async with asyncio.timeout(60):
            while not program.address:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.05)
        with hour.Peaks(hour.gateway_pid(program.address)) as peaks:
            async with AsyncClient(program.address) as client:
                video = VideoOptions(frames_per_second=1.0, key_frames="only", keep_repeats=True)
                return await client.score(path, video=video), peaks
    finally:
        await asyncio.to_thread(program.stop, 10.0)


@pytest.mark.slow
async def test_ten_minutes_take_no_more_memory_than_one(tmp_path):
    model = ScriptedGenerator()
    found = []
    async with services(model) as addresses:
        for minutes in (1, 10):
            path = tmp_path / f"{minutes}.mp4"
            hour.write_video(path, 60 * minutes, frames_per_second=1)
            found.append(await scored(path, addresses, tmp_path / f"{minutes}.log"))
    (short, little), (long, much) = found
    assert (len(short.windows), len(long.windows)) == (15, 150)
    assert long.partial is None
    assert much.together_mib <= hour.MOST_GROWTH * little.together_mib
