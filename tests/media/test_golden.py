import json

import numpy as np
import pytest

from tests.gateway.decode.upload import PICTURE, VIDEO, decode
from tests.media.build import level_at
from tests.media.corpus import CORPUS, EXIF_CORNERS, MATRIX_CORNERS, VIDEOS, content
from tests.media.golden import GOLDEN, difference, observed

pytestmark = pytest.mark.asyncio(loop_scope="session")

REMEMBERED = json.loads(GOLDEN.read_text())
SAMPLE = list(CORPUS)[::6]


async def test_every_file_of_the_corpus_is_remembered():
    assert list(REMEMBERED) == list(CORPUS)
    assert len(CORPUS) >= 60


@pytest.mark.parametrize("name", SAMPLE)
async def test_a_file_looks_as_it_did(pool, name):
    assert difference(REMEMBERED[name], await observed(pool, name)) == ""


async def test_a_difference_is_said_in_words():
    one = {"times": [0.0], "first": "000000" * 16}
    assert difference(one, {**one, "times": [0.5]}) == "times: [0.0] before, [0.5] now"
    assert difference(one, {**one, "first": "000004" * 16}) == "the first frame differs by 4 levels"
    assert difference(one, {**one, "first": "030303" * 16}) == ""


async def test_how_many_frames_are_damaged_hangs_on_the_encoder():
    then = {"warnings": ["11 damaged frames were left out"]}
    assert difference(then, {"warnings": ["12 damaged frames were left out"]}) == ""
    assert difference({"refused": "49 of 51 frames are damaged"}, {"refused": "50 of 51 frames are damaged"}) == ""
    assert difference(then, {"warnings": []}) != ""


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_is_shown_as_its_exif_says(pool, orientation):
    decoded = await decode(pool, content(f"jpeg_exif_{orientation}.jpg"), PICTURE)
    assert decoded.red_corner() == EXIF_CORNERS[orientation - 1]


async def test_a_tiff_with_exif_is_turned_once(pool):
    assert (await decode(pool, content("tiff_exif_3.tiff"), PICTURE)).red_corner() == "bottom right"


@pytest.mark.parametrize("name", ["mp4_hdr10.mp4", "mp4_hlg.mp4"])
async def test_hdr_is_converted_behind_the_lock(pool, name):
    assert difference(REMEMBERED[name], await observed(pool, name)) == ""


@pytest.mark.parametrize("name", ["webm_vp9_alpha.webm", "webm_vp8_alpha.webm"])
async def test_a_transparent_video_is_shown_on_white_and_reported(pool, name):
    decoded = await decode(pool, content(name), VIDEO)
    left, right = np.split(decoded.frames[-1].pixels[-40:].astype(int), 2, axis=1)
    assert abs(left[:, :-8].mean() - level_at(1.5)) < 4
    assert right[:, 8:].min() > 250
    assert decoded.summary.warnings == ("transparent parts of the video were judged as they look on white",)


@pytest.mark.parametrize("turn", MATRIX_CORNERS)
async def test_a_video_is_shown_as_its_display_matrix_says(pool, turn):
    decoded = await decode(pool, content(f"mp4_{turn}.mp4"), VIDEO)
    assert decoded.red_corner() == MATRIX_CORNERS[turn]


def grey(frame):
    """Mean level of the lower right quarter, where there is no red."""
    height, width, _ = frame.pixels.shape
    return float(frame.pixels[height * 6 // 10 :, width * 6 // 10 :].mean())


@pytest.mark.parametrize(
    ("name", "first_seconds"),
    [
        *[(name, 0.0) for name in ("mp4_full_range.mp4", "mp4_limited_range.mp4", "mp4_10_bit.mp4", "mp4_444.mp4")],
        *[(name, 0.0) for name in ("mkv_starts_late.mkv", "mpegts_starts_late.ts", "mp4_negative_times.mp4")],
        *[(name, 0.0) for name in ("mp4_with_cover.mp4", "webm_odd_size.webm", "mp4_odd_size.mp4")],
        ("mp4_edit_list.mp4", 1.0),
    ],
)
async def test_the_first_frame_is_the_first_that_a_player_shows(pool, name, first_seconds):
    assert name in VIDEOS
    decoded = await decode(pool, content(name), VIDEO)
    assert decoded.times[0] == 0.0
    assert np.allclose([grey(f) for f in decoded.frames], [level_at(first_seconds + t) for t in decoded.times], atol=3)
