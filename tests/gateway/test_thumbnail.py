"""Thumbnails of sampled frames: small, where they were asked for, and few of a long video."""

import io

import numpy as np
import pytest
from PIL import Image

from assay.frame import Frame
from assay.v1 import assay_pb2
from gateway.thumbnail import Thumbnails
from tests.gateway.serving import gateway
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def thumbnails(pool, name, **config):
    """(thumbnails, result) of a file."""
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        happened = await (caller.video if name.startswith("mp4") else caller.image)(name, **config)
    return [event.thumbnail for event in happened if event.HasField("thumbnail")], happened[-1].result


async def test_nobody_gets_thumbnails_who_did_not_ask(pool):
    assert (await thumbnails(pool, "mp4_faststart.mp4"))[0] == []


async def test_every_sampled_frame_of_a_short_video_has_one_at_its_time(pool):
    shown, result = await thumbnails(pool, "mp4_faststart.mp4", thumbnails=assay_pb2.Thumbnails())
    times = [each.time_offset.ToMilliseconds() for each in shown]
    assert [each.frame_index for each in shown] == list(range(result.media.sampled_frames))
    assert times == sorted(set(times))


async def test_a_thumbnail_is_a_jpeg_of_the_size_that_was_asked_for(pool):
    shown, _ = await thumbnails(pool, "jpeg.jpg", thumbnails=assay_pb2.Thumbnails(longest_side_px=40))
    (one,) = shown
    image = Image.open(io.BytesIO(one.jpeg))
    assert (image.format, image.size) == ("JPEG", (one.width_px, one.height_px))
    assert max(image.size) == 40


async def test_a_long_video_has_few():
    taken, frame = Thumbnails(32), Frame(np.zeros((2, 2, 3), np.uint8))
    indices = [one.frame_index for _ in range(2000) if (one := await taken.feed(frame))]
    assert indices[:66] == [*range(64), 64, 66]
    assert len(indices) <= 64 * 6
