"""Which pictures of a video come once more as photos, and that these are the photos that they would be."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from gateway.decode.spec import Target
from tests.gateway.decode.upload import PICTURE, VIDEO, decode
from tests.media.film import film

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = Target(min_pixels=112_896, max_pixels=112_896, enlarge_first_pixels=254_016, leave_out_borders=True)
SPEC = dataclasses.replace(VIDEO, photo_target=PHOTO, repeat_levels=1.0)
ACROSS, DOWN = np.meshgrid(np.arange(192), np.arange(128))
SLOPE = np.stack([60 + ACROSS // 2, 80 + DOWN, 200 - ACROSS // 2], axis=-1).astype(np.uint8)


def clip(pictures, frames_per_second=4.0):
    return film(pictures, frames_per_second=frames_per_second, size=(192, 128))


async def photos(pool, data, spec=SPEC):
    return (await decode(pool, data, spec)).photos


async def test_of_a_picture_that_stands_still_comes_one_photo(pool):
    decoded = await decode(pool, clip([SLOPE] * 12), SPEC)
    assert [(photo.pts_seconds, photo.pixels.shape) for photo in decoded.photos] == [(0.0, (252, 392, 3))]
    assert len(decoded.frames) == 6


@pytest.mark.parametrize("border_px", [0, 24])
async def test_it_is_what_the_photo_would_be(pool, border_px):
    bordered = np.pad(SLOPE[border_px : 128 - border_px], ((border_px, border_px), (0, 0), (0, 0)))
    png = io.BytesIO()
    Image.fromarray(bordered).save(png, "png")
    [as_photo] = (await decode(pool, png.getvalue(), dataclasses.replace(PICTURE, target=PHOTO))).frames
    [from_video] = await photos(pool, clip([bordered] * 8))
    assert np.abs(as_photo.pixels.astype(int) - from_video.pixels).mean() < 2.5


async def test_what_moves_has_none(pool):
    assert await photos(pool, clip([SLOPE + 5 * step for step in range(12)])) == []


async def test_each_slide_has_its_own(pool):
    slides = [SLOPE + 20 * slide for slide in range(3) for _ in range(8)]
    assert [photo.pts_seconds for photo in await photos(pool, clip(slides))] == [0.0, 2.0, 4.0]


async def test_a_video_of_one_frame_is_a_photo(pool):
    assert len(await photos(pool, clip([SLOPE]))) == 1


async def test_a_picture_in_a_uniform_sample_has_one_too(pool):
    assert (
        len(await photos(pool, clip([SLOPE] * 12), dataclasses.replace(SPEC, sampling="uniform", frame_count=4))) == 1
    )


async def test_without_repeats_there_are_none(pool):
    assert await photos(pool, clip([SLOPE] * 12), dataclasses.replace(SPEC, repeat_levels=0.0)) == []
