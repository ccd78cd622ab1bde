import pytest
import pytest_asyncio

from gateway.decode.jobs import DecodePool
from tests.hostile.bombs import detonate
from tests.media.bombs import HARMLESS, HARMLESS_PICTURES, PICTURES, VIDEOS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lonely():
    """A pool of one worker, so that it is known which one it was."""
    async with DecodePool(workers=1, spares=0) as pool:
        yield pool


@pytest.mark.parametrize("name", [*PICTURES, *VIDEOS])
async def test_a_bomb_is_refused_in_little_time_and_memory(lonely, name):
    _, blast = await detonate(lonely, name)
    assert blast.status in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED")
    assert blast.is_contained, blast


@pytest.mark.parametrize("name", [*HARMLESS, *HARMLESS_PICTURES])
async def test_what_is_decoded_after_all_costs_little_too(lonely, name):
    _, blast = await detonate(lonely, name)
    assert (blast.status, blast.is_contained) == ("OK", True), blast


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("png_16k_rgba.png", "256.0 million pixels, the limit is 50.0 million"),
        ("avif_grid_16k.avif", "268.4 million pixels, the limit is 50.0 million"),
        ("avif_tile_read_255_x_255_times.avif", "the limit is 1.2 times"),
        ("avif_60000_parts.avif", "more than 4096 parts"),
        ("mp4_900_tracks.mp4", "901 video tracks, the limit is 64"),
        ("avi_mjpeg_65k.avi", "million pixels, the limit is 36.0 million"),
        ("mp4_2000_tracks.mp4", "more than 1000 tracks"),
        ("mp4_20_million_samples.mp4", "20000000 samples, the limit is 2000000"),
        ("mp4_key_frame_250000_times.mp4", "the limit is 1.2 times"),
        ("mp4_63_years.mp4", "longer than the limit of 1200 s"),
        ("playlist.m3u8", "this is a playlist"),
    ],
)
async def test_who_hits_a_budget_learns_which_and_by_how_much(lonely, name, reported):
    _, blast = await detonate(lonely, name)
    assert reported in blast.message
