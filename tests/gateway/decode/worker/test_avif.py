import io

import av
import numpy as np
import pytest
from PIL import Image

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits
from gateway.decode.worker import colour
from gateway.decode.worker.avif import decode_avif
from tests.gateway.decode.upload import PICTURE, decode
from tests.media.avif import Coded, clap, coded, grid, hdr, imir, irot, nclx, single, tiled
from tests.media.build import media, picture
from tests.media.cases import case

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHOTO = coded(picture(2.0))
PQ, HLG = 16, 18
ON_WHITE = "transparent parts of the picture were judged as they look on white"


async def shown(pool, data):
    return (await decode(pool, data, PICTURE)).frames[0].pixels.astype(int)


async def test_a_grid_is_as_its_twin_in_one_piece(pool):
    tiles, whole = case("avif_grid_2x2.avif"), case("avif_the_same_without_grid.avif")
    assert np.abs(await shown(pool, tiles) - await shown(pool, whole)).mean() < 2


@pytest.mark.parametrize(("columns", "rows"), [(1, 2), (5, 4), (2, 9)])
async def test_a_grid_of_any_size_is_one_picture(pool, columns, rows):
    decoded = await decode(pool, grid(columns, rows), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px) == (64 * columns, 64 * rows)
    assert decoded.red_corner() == "top left"
    assert abs(decoded.frames[0].pixels[-20:].mean() - 80) < 3  # the last tiles are there


async def test_transparency_shows_white_and_is_reported(pool):
    avif = await decode(pool, case("avif_transparent_logo.avif"), PICTURE)
    webp = await shown(pool, case("webp_the_same_logo.webp"))
    assert np.abs(avif.frames[0].pixels - webp).mean() < 2
    assert avif.summary.warnings == (ON_WHITE,)


async def test_half_transparent_grey_is_mixed_with_white(pool):
    grey, half = np.full((64, 64), 100, np.uint8), np.full((64, 64), 128, np.uint8)
    pixels = await shown(pool, single(coded(grey), alpha=coded(half)))
    assert abs(pixels.mean() - (100 * 128 + 255 * 127) / 255) < 2


@pytest.mark.parametrize(
    ("properties", "size", "corner"),
    [
        ([clap(160, 120, -80, -60)], (160, 120), "top left"),
        ([clap(300, 220, 10, 10)], (300, 220), "top left"),
        ([irot(1)], (240, 320), "bottom left"),
        ([irot(2)], (320, 240), "bottom right"),
        ([irot(3)], (240, 320), "top right"),
        ([imir(0)], (320, 240), "bottom left"),
        ([imir(1)], (320, 240), "top right"),
        ([clap(200, 100, -60, -70), irot(1)], (100, 200), "bottom left"),
        ([irot(1), imir(1)], (240, 320), "bottom right"),
        ([clap(10_000, 10)], (320, 240), "top left"),
    ],
)
async def test_a_picture_is_cropped_and_turned_as_the_file_says(pool, properties, size, corner):
    decoded = await decode(pool, single(PHOTO, *properties), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px) == size
    assert decoded.red_corner() == corner


async def test_a_grid_is_turned_as_a_whole(pool):
    decoded = await decode(pool, grid(3, 2, irot(1)), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px, decoded.red_corner()) == (128, 192, "bottom left")


async def test_an_animation_is_reported(pool):
    frames = [Image.fromarray(picture(seconds)) for seconds in (2.0, 4.0)]
    target = io.BytesIO()
    frames[0].save(target, "avif", save_all=True, append_images=frames[1:], speed=10)
    decoded = await decode(pool, target.getvalue(), PICTURE)
    assert "an animation, of which only the first frame was judged" in decoded.summary.warnings[0]
    assert abs(decoded.levels[0] - 80) < 3


async def test_of_layers_the_last_is_judged(pool):
    decoded = await decode(pool, case("avif_two_layers.avif"), PICTURE)  # the first is black
    assert decoded.red_corner() == "top left"
    assert abs(decoded.frames[0].pixels[-20:].mean() - 80) < 3
    assert decoded.summary.warnings == ()


def exact(sample, transfer):
    """What a screen of SDR shows of the greys of a sample, without any rounding on the way."""
    context = av.CodecContext.create("libdav1d", "r")
    luma = (context.decode(av.Packet(sample)) or context.decode(None))[0].to_ndarray()[:64].astype(float)
    coded = np.repeat(np.clip((luma - 64) / 876, 0, 1).reshape(-1, 1), 3, axis=1)
    light = colour._pq_light(coded) if transfer == PQ else colour._hlg_light(coded, 9)
    return 255 * np.clip(colour._within_sdr(light), 0, 1).reshape(64, 96, 3) ** (1 / 2.4)


@pytest.mark.parametrize(("luma", "most"), [(300, 0.6), (573, 1.0), (940, 1.9)])
@pytest.mark.parametrize("transfer", [PQ, HLG])
async def test_hdr_keeps_its_ten_bits_until_it_is_rounded_once(transfer, luma, most):
    sample = hdr(transfer, luma)
    image, _, colours = decode_avif(single(sample), DecodeLimits(), [])
    observed = colour.to_sdr(np.asarray(image), colours.transfer, colours.primaries)
    assert np.abs(observed - exact(sample.sample, transfer)).mean() < most  # by libavif 0.8, 1.3 and 2.1


async def test_a_grid_of_hdr_is_put_together(pool):
    tile = hdr(PQ, 573)
    decoded = await decode(pool, tiled(tile, 2, 2), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px) == (192, 128)
    ramps = np.array_split(decoded.frames[0].pixels.mean(axis=(0, 2)), 2)
    assert all(ramp[:8].mean() < 30 and ramp[-8:].mean() > 190 for ramp in ramps)


@pytest.mark.parametrize("where", ["in the data", "in the container"])
async def test_hdr_is_shown_as_an_sdr_screen_would(pool, where):
    properties = [nclx(9, PQ, 9, full=False)] if where == "in the container" else []
    pixels = await shown(pool, single(hdr(PQ, 573), *properties))
    assert 215 < pixels[:, -3:].mean() < 230  # white on paper, 203 cd/m2; taken for SDR it would be 148


@pytest.mark.parametrize(("bits", "luma"), [(8, 100), (10, 400)])
async def test_a_grey_picture_is_grey(pool, bits, luma):
    data = single(coded(np.full((64, 64), 100, np.uint8)))
    assert np.abs(await shown(pool, data) - 100).max() <= 2


async def test_a_file_whose_brand_is_of_a_profile_is_read(pool):
    assert (await decode(pool, single(PHOTO, brand=b"MA1B"), PICTURE)).info.codec == "av1"


async def test_a_coded_size_that_the_boxes_hide_is_refused_before_it_is_decoded(pool):
    lying = Coded(PHOTO.configuration, PHOTO.sample, (64, 64))
    with pytest.raises(OverLimit, match=r"0\.1 million pixels"):
        decode_avif(single(lying), DecodeLimits(max_image_pixels=64 * 64), [])


@pytest.mark.parametrize("missing", [1, 500, 3000])
async def test_what_is_cut_off_is_refused(pool, missing):
    for data in (media("avif.avif").read_bytes(), grid(3, 2)):
        with pytest.raises(BadMedia, match="AVIF picture is damaged or cut off"):
            await decode(pool, data[:-missing], PICTURE)


async def test_more_pixels_than_the_limit_are_named_as_a_limit(pool):
    with pytest.raises(OverLimit, match=r"144.0 million pixels, the limit is 50.0 million"):
        await decode(pool, single(Coded(PHOTO.configuration, PHOTO.sample, (12_000, 12_000))), PICTURE)
