import io

import numpy as np
import pytest
from PIL import Image

from assay.errors import BadMedia
from tests.gateway.decode.upload import PICTURE, decode
from tests.media.build import picture
from tests.media.tiff import Page, tiff

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTH, HEIGHT = 320, 240
SENSOR, LOSSLESS = 32803, 7
THUMBNAIL = np.zeros((24, 32, 3), np.uint8)


def jpeg(width=WIDTH, height=HEIGHT, **options):
    target = io.BytesIO()
    Image.fromarray(picture(2.0)).resize((width, height)).save(target, "jpeg", quality=90, **options)
    return target.getvalue()


def sensor(compression=1):
    mosaic = np.zeros((HEIGHT + 8, WIDTH + 8), np.uint16)
    return Page(mosaic, SENSOR, tags={254: 0, 259: compression})


def preview(data, compression=6):
    return Page(data, 6, tags={254: 1, 256: WIDTH, 257: HEIGHT, 258: (8, 8, 8), 259: compression, 277: 3})


def dng(size=(WIDTH, HEIGHT), turned=1, maker="Google"):
    tags = {254: 1, 271: maker, 274: turned, 50706: b"\1\4\0\0"}
    return tiff(Page(THUMBNAIL, tags=tags, below=[sensor(), preview(jpeg(*size), LOSSLESS)]))


def nef(size=(WIDTH, HEIGHT)):
    return tiff(
        Page(THUMBNAIL, tags={254: 1, 271: "NIKON CORPORATION"}, below=[preview(jpeg(*size)), sensor()]), order=">"
    )


def cr2(size=(WIDTH, HEIGHT)):
    exif = {256: WIDTH, 257: HEIGHT}
    first = Page(jpeg(*size), 6, tags={**exif, 258: (8, 8, 8), 259: 6, 271: "Canon", 277: 3})
    return tiff(first, Page(b"\xff\xd8\xff\xc4 lossless", 1, tags={259: 6}), cr2=True)


def made_by(maker, compression, size):
    below = [preview(jpeg(*size)), sensor(compression)]
    return tiff(Page(THUMBNAIL, tags={254: 1, 271: maker}, below=below))


FILES = {
    "DNG": dng,
    "NEF": nef,
    "ARW": lambda size=(WIDTH, HEIGHT): made_by("SONY", 32767, size),
    "PEF": lambda size=(WIDTH, HEIGHT): made_by("PENTAX Corporation", 65535, size),
    "SRW": lambda size=(WIDTH, HEIGHT): made_by("SAMSUNG", 32770, size),
}


@pytest.mark.parametrize("kind", FILES)
async def test_a_camera_raw_is_shown_by_its_full_size_preview_and_named(pool, kind):
    decoded = await decode(pool, FILES[kind](), PICTURE)
    assert (decoded.info.width_px, decoded.info.height_px) == (WIDTH, HEIGHT)
    assert decoded.red_corner() == "top left"
    assert decoded.summary.warnings == (
        f"this is a camera raw picture ({kind}), of which the full-size preview was judged as the camera made it",
    )


@pytest.mark.parametrize("kind", FILES)
async def test_a_camera_raw_with_a_small_preview_is_refused_by_name(pool, kind):
    with pytest.raises(BadMedia, match=rf"this is a camera raw picture \({kind}\) without a preview in full size"):
        await decode(pool, FILES[kind]((160, 120)), PICTURE)


@pytest.mark.parametrize(("turned", "corner"), [(1, "top left"), (6, "top right"), (3, "bottom right")])
async def test_a_preview_is_turned_as_the_camera_was_held(pool, turned, corner):
    assert (await decode(pool, dng(turned=turned), PICTURE)).red_corner() == corner


async def test_a_preview_that_says_how_it_is_turned_is_turned_once(pool):
    exif = Image.Exif()
    exif[0x0112] = 6
    page = Page(THUMBNAIL, tags={254: 1, 271: "X", 274: 6}, below=[sensor(), preview(jpeg(exif=exif.tobytes()))])
    assert (await decode(pool, tiff(page), PICTURE)).red_corner() == "top right"


async def test_a_canon_raw_is_named_by_its_signature(pool):
    with pytest.raises(BadMedia, match=r"a camera raw picture \(CR2\)"):
        await decode(pool, cr2((160, 120)), PICTURE)


async def test_a_sensor_without_any_preview_is_refused_by_name(pool):
    with pytest.raises(BadMedia, match="this is a camera raw picture without a preview in full size"):
        await decode(pool, tiff(sensor()), PICTURE)
