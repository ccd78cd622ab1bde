import io
import struct

import numpy as np
import pytest
from PIL import Image

from assay.errors import BadMedia, OverLimit
from tests.gateway.decode.upload import PICTURE, decode
from tests.media.build import picture
from tests.media.cases import case
from tests.media.tiff import Page, tiff

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMALL = np.asarray(Image.fromarray(picture(2.0)).resize((128, 96)))
GREY = np.asarray(Image.fromarray(SMALL).convert("L"))
REDUCED = {254: 1}
THUMBNAIL = Page(np.zeros((24, 32, 3), np.uint8), tags=REDUCED)


def deep(pixels):
    return pixels.astype(np.uint16) * 257


def by_pillow(mode, **options):
    target = io.BytesIO()
    Image.fromarray(SMALL).convert(mode).save(target, "tiff", **options)
    return target.getvalue()


def half_transparent(associated, bits):
    alpha = np.full((*GREY.shape, 1), 128, np.uint8)
    colours = SMALL // 2 if associated else SMALL
    pixels = np.concatenate([colours, alpha], axis=2)
    return tiff(Page(deep(pixels) if bits == 16 else pixels, tags={338: 1 if associated else 2}))


async def shown(pool, data):
    return (await decode(pool, data, PICTURE)).frames[0].pixels.astype(int)


async def reference(pool, pixels):
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "png")
    return await shown(pool, target.getvalue())


COLOUR = {
    "big-endian": lambda: tiff(Page(SMALL), order=">"),
    "BigTIFF": lambda: tiff(Page(SMALL), big=True),
    "strips": lambda: tiff(Page(SMALL, strips=7)),
    "tiles": lambda: tiff(Page(SMALL, tile_px=32)),
    "16 bits": lambda: tiff(Page(deep(SMALL))),
    "16 bits, big-endian": lambda: tiff(Page(deep(SMALL)), order=">"),
    "planes": lambda: tiff(Page(SMALL.transpose(2, 0, 1), planar=True)),
    "planes of 16 bits": lambda: tiff(Page(deep(SMALL).transpose(2, 0, 1), planar=True)),
    "LZW": lambda: by_pillow("RGB", compression="tiff_lzw"),
    "deflate": lambda: by_pillow("RGB", compression="tiff_adobe_deflate"),
    "packbits": lambda: by_pillow("RGB", compression="packbits"),
    "JPEG": lambda: by_pillow("RGB", compression="jpeg", quality=95),
    "CMYK": lambda: by_pillow("CMYK"),
    "CIELAB": lambda: by_pillow("LAB"),
}


def with_opacity(level):
    return np.dstack([deep(GREY), np.full(GREY.shape, level, np.uint16)])


GREYS = {
    "16 bits": lambda: tiff(Page(deep(GREY), 1)),
    "16 bits, big-endian": lambda: tiff(Page(deep(GREY), 1), order=">"),
    "16 bits, white is zero": lambda: tiff(Page(65535 - deep(GREY), 0)),
    "16 bits, white is zero, big-endian": lambda: tiff(Page(65535 - deep(GREY), 0), order=">"),
    "16 bits in tiles": lambda: tiff(Page(deep(GREY), 1, tile_px=32)),
    "16 bits and opaque": lambda: tiff(Page(with_opacity(65535), 1, tags={338: 2})),
    "16 bits and opaque, big-endian": lambda: tiff(Page(with_opacity(65535), 1, tags={338: 2}), order=">"),
    "16 bits and a channel of another use": lambda: tiff(Page(with_opacity(0), 1, tags={338: 0})),
    "white is zero": lambda: tiff(Page(255 - GREY, 0)),
    "palette": lambda: by_pillow("L", compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", COLOUR)
async def test_a_tiff_looks_alike_however_it_is_stored(pool, kind):
    assert np.abs(await shown(pool, COLOUR[kind]()) - await reference(pool, SMALL)).mean() < 2


@pytest.mark.parametrize("kind", GREYS)
async def test_a_grey_tiff_looks_alike_however_it_is_stored(pool, kind):
    assert np.abs(await shown(pool, GREYS[kind]()) - await reference(pool, GREY)).mean() < 1


@pytest.mark.parametrize("mode", ["1", "P"])
async def test_few_colours_are_shown_as_they_are(pool, mode):
    few = Image.fromarray(SMALL).convert(mode)
    target = io.BytesIO()
    few.save(target, "tiff")
    assert (
        np.abs(await shown(pool, target.getvalue()) - await reference(pool, np.asarray(few.convert("RGB")))).max() < 2
    )


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("associated", [False, True])
async def test_transparency_shows_white_whether_multiplied_or_not(pool, associated, bits):
    decoded = await decode(pool, half_transparent(associated, bits), PICTURE)
    on_white = (SMALL.astype(int) * 128 + 255 * 127) // 255
    assert np.abs(decoded.frames[0].pixels - await reference(pool, on_white.astype(np.uint8))).mean() < 1.5
    assert decoded.summary.warnings == ("transparent parts of the picture were judged as they look on white",)


@pytest.mark.parametrize("associated", [False, True])
async def test_grey_of_16_bits_shows_white_where_it_is_transparent(pool, associated):
    half = with_opacity(32768)
    if associated:
        half[..., 0] //= 2
    shown_pixels = await shown(pool, tiff(Page(half, 1, tags={338: 1 if associated else 2})))
    on_white = ((GREY.astype(int) + 255) // 2).astype(np.uint8)
    assert np.abs(shown_pixels - await reference(pool, on_white)).mean() < 1.5


async def test_grey_of_16_bits_with_exif_is_as_its_twin_of_8(pool):
    deep_grey, twin = case("tiff_16_bit_grey_with_exif.tif"), case("png_the_same_8_bit.png")
    assert np.abs(await shown(pool, deep_grey) - await shown(pool, twin)).max() <= 1


FIRST_IS_SMALL = {
    "below it": lambda: tiff(Page(THUMBNAIL.pixels, tags=REDUCED, below=[Page(SMALL)])),
    "behind it": lambda: tiff(THUMBNAIL, Page(SMALL)),
    "below it, with another thumbnail first": lambda: tiff(
        Page(THUMBNAIL.pixels, tags=REDUCED, below=[THUMBNAIL, Page(SMALL)])
    ),
    "marked in the old way": lambda: tiff(Page(THUMBNAIL.pixels, tags={255: 2}), Page(SMALL, tags={255: 1})),
    "a mask": lambda: tiff(Page(GREY[:24, :32], 4, tags={254: 4}), Page(SMALL)),
    "BigTIFF": lambda: tiff(THUMBNAIL, Page(SMALL), big=True),
    "big-endian": lambda: tiff(THUMBNAIL, Page(SMALL), order=">"),
}


@pytest.mark.parametrize("kind", FIRST_IS_SMALL)
async def test_a_reduced_first_page_is_not_judged_instead_of_the_picture(pool, kind):
    decoded = await decode(pool, FIRST_IS_SMALL[kind](), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px, decoded.summary.warnings) == (128, 96, ())


async def test_the_picture_below_a_thumbnail_is_judged(pool):
    decoded = await decode(pool, case("tiff_raw_style_thumbnail_with_subifd.tif"), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px) == (240, 160)


async def test_smaller_copies_behind_the_picture_are_no_pages(pool):
    data = tiff(Page(SMALL, below=[THUMBNAIL]), THUMBNAIL, THUMBNAIL)
    assert (await decode(pool, data, PICTURE)).summary.warnings == ()


async def test_of_several_pages_the_first_is_judged_and_reported(pool):
    decoded = await decode(pool, case("tiff_two_pages.tif"), PICTURE)
    assert decoded.summary.warnings == ("the file has several pages: of several pages the first was judged",)


@pytest.mark.parametrize("orientation", [1, 6])
async def test_a_picture_below_a_thumbnail_is_turned_like_the_file(pool, orientation):
    data = tiff(Page(THUMBNAIL.pixels, tags={**REDUCED, 274: orientation}, below=[Page(SMALL)]))
    decoded = await decode(pool, data, PICTURE)
    assert decoded.red_corner() == {1: "top left", 6: "top right"}[orientation]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (tiff(Page(GREY.astype(np.float32), 1, tags={339: 3})), "TIFF of floating point numbers with 32 bits"),
        (tiff(Page(GREY.astype(np.int16), 1, tags={339: 2})), "TIFF of signed numbers with 16 bits"),
        (tiff(Page(GREY.astype(np.uint32), 1)), "TIFF of unsigned numbers with 32 bits"),
        (
            tiff(Page(np.stack([GREY, GREY]), 1, tags={338: 2}, planar=True)),
            "TIFF of grey and transparency in two planes",
        ),
        (tiff(Page(deep(SMALL), 8)), r"16\+16\+16 bits \(photometric 8\), which is not accepted; export it as RGB"),
        (tiff(Page(SMALL), big=True, order=">"), "BigTIFF in big-endian order"),
        (tiff(Page(SMALL, tags={259: 34712})), "TIFF compressed with JPEG 2000"),
        (tiff(Page(SMALL, tags={259: 50001})), "TIFF compressed with WebP"),
        (tiff(Page(SMALL))[:-3000], "TIFF picture is damaged or cut off"),
        (tiff(Page(SMALL, tags={273: 10**9})), "TIFF picture is damaged or cut off"),
    ],
)
async def test_what_cannot_be_shown_is_named(pool, data, complaint):
    with pytest.raises(BadMedia, match=complaint):
        await decode(pool, data, PICTURE)


async def test_the_pixels_of_the_chosen_page_are_counted(pool):
    with pytest.raises(OverLimit, match=r"100.0 million pixels, the limit is 50.0 million"):
        await decode(pool, tiff(THUMBNAIL, Page(SMALL, tags={256: 10_000, 257: 10_000})), PICTURE)


async def test_directories_that_lead_in_circles_end(pool):
    data = bytearray(tiff(THUMBNAIL, THUMBNAIL, Page(SMALL)))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, len(data) - 4, first)
    assert (await decode(pool, bytes(data), PICTURE)).info.width_px == 128
