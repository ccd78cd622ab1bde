import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from gateway.decode.worker import icc
from gateway.decode.worker.icc import IGNORED, ColourTags
from tests.gateway.decode.upload import PICTURE, decode
from tests.media import heic
from tests.media.avif import coded, nclx, prof, single
from tests.media.build import picture
from tests.media.cases import case
from tests.media.profile import DISPLAY_P3, grey_profile, ink_profile
from tests.media.tiff import Page, tiff

pytestmark = pytest.mark.asyncio(loop_scope="session")

P3, BT2020, LINEAR, SRGB = 12, 9, 8, 13
RED_IN_P3, RED = (203, 49, 37), (220, 20, 20)
"""The same colour: coded for a screen of Display P3, and for one of sRGB."""
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def patch(colour=RED_IN_P3):
    return np.full((64, 64, 3), colour, np.uint8)


def stored(form, profile, mode="RGB", **options):
    target = io.BytesIO()
    Image.fromarray(patch()).convert(mode).save(target, form, icc_profile=profile, **options)
    return target.getvalue()


def png(*chunks, pixels=None):
    target = io.BytesIO()
    Image.fromarray(patch() if pixels is None else pixels).save(target, "png")
    data = target.getvalue()
    extra = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    return data[:33] + extra + data[33:]


def chrm(*points):
    return b"cHRM", struct.pack(">8I", *(round(100_000 * each) for each in points))


def iccp(profile):
    return b"iCCP", b"a\0\0" + zlib.compress(profile)


async def middle(pool, data):
    decoded = await decode(pool, data, PICTURE)
    return decoded.frames[0].pixels[28, 28].astype(int), decoded.summary.warnings


CARRIERS = {
    "JPEG": lambda profile: stored("jpeg", profile, quality=100, subsampling=0),
    "PNG": lambda profile: png(iccp(profile)),
    "WebP": lambda profile: stored("webp", profile, lossless=True),
    "TIFF": lambda profile: stored("tiff", profile),
    "AVIF": lambda profile: single(coded(patch(), 100), prof(profile)),
    "HEIC": lambda profile: heic.single(patch(), heic.box(b"colr", b"prof", profile)),
    "transparent PNG": lambda profile: png(
        iccp(profile), pixels=np.dstack([patch(), np.full((64, 64, 1), 255, np.uint8)])
    ),
}
NUMBERS = {
    "PNG cICP": lambda: png((b"cICP", bytes([P3, SRGB, 0, 1]))),
    "PNG cHRM": lambda: png(chrm(0.3127, 0.329, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    "AVIF": lambda: single(coded(patch(), 100), nclx(P3, SRGB, 6, full=True)),
    "HEIC": lambda: heic.single(patch(), heic.box(b"colr", b"nclx", struct.pack(">HHHB", P3, SRGB, 6, 0x80))),
}


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_profile_is_obeyed(pool, carrier):
    colour, warnings = await middle(pool, CARRIERS[carrier](DISPLAY_P3))
    assert np.allclose(colour, RED, atol=7)
    assert warnings == ()


@pytest.mark.parametrize("carrier", NUMBERS)
async def test_colours_given_in_numbers_are_obeyed(pool, carrier):
    assert np.allclose((await middle(pool, NUMBERS[carrier]()))[0], RED, atol=7)


@pytest.mark.parametrize("profile", [SRGB_PROFILE, icc._profile(icc.colour.SRGB, icc._SRGB_CURVE)])
async def test_srgb_in_any_spelling_changes_nothing(pool, profile):
    assert (await middle(pool, png(iccp(profile))))[0].tolist() == list(RED_IN_P3)


async def test_a_photo_in_display_p3_is_as_its_twin_in_srgb(pool):
    twins = [case(name) for name in ("jpeg_the_same_display_p3.jpg", "jpeg_srgb.jpg")]
    one, other = [(await decode(pool, data, PICTURE)).frames[0].pixels.astype(int) for data in twins]
    assert np.abs(one - other).mean() < 2  # before it was obeyed 4.0


BROKEN = {
    "noise": np.random.default_rng(0).bytes(3000),
    "empty": b"\0",
    "cut off": DISPLAY_P3[:200],
    "of another class": DISPLAY_P3[:12] + b"link" + DISPLAY_P3[16:],
    "for inks": DISPLAY_P3[:16] + b"CMYK" + DISPLAY_P3[20:],
    "without its colours": DISPLAY_P3.replace(b"rXYZ", b"none", 1),
    "with two billion tags": DISPLAY_P3[:128] + b"\x7f\xff\xff\xff" + DISPLAY_P3[132:],
}


@pytest.mark.parametrize("carrier", ["PNG", "WebP", "AVIF"])
@pytest.mark.parametrize("defect", BROKEN)
async def test_a_profile_that_cannot_be_used_is_ignored_and_reported(pool, carrier, defect):
    colour, warnings = await middle(pool, CARRIERS[carrier](BROKEN[defect]))
    assert np.allclose(colour, RED_IN_P3, atol=4)
    assert warnings == (IGNORED,)


async def test_a_profile_that_is_larger_than_the_limit_is_ignored_and_reported(pool):
    assert (await middle(pool, png(iccp(SRGB_PROFILE + bytes(17 << 20)))))[1] == (IGNORED,)


@pytest.mark.parametrize("chunk", [chrm(*[0] * 8), chrm(0.3, 0.3, *[0.3, 0.3] * 3)])
async def test_chromaticities_of_no_screen_are_ignored_and_reported(pool, chunk):
    colour, warnings = await middle(pool, png(chunk))
    assert (colour.tolist(), warnings) == (list(RED_IN_P3), (IGNORED,))


async def test_chunks_take_precedence_as_the_standard_says(pool):
    wide = chrm(0.3127, 0.329, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
    for others in ([iccp(DISPLAY_P3)], [(b"sRGB", b"\0")]):
        coded_for_p3 = png((b"cICP", bytes([P3, SRGB, 0, 1])), *others, wide)
        assert np.allclose((await middle(pool, coded_for_p3))[0], RED, atol=4)
    assert (await middle(pool, png((b"sRGB", b"\0"), wide)))[0].tolist() == list(RED_IN_P3)


@pytest.mark.parametrize(("gamma", "level"), [(45_455, 100), (44_000, 100), (100_000, 168), (55_556, 120)])
async def test_the_gamma_of_a_png_is_obeyed(pool, gamma, level):
    data = png((b"gAMA", struct.pack(">I", gamma)), pixels=patch((100, 100, 100)))
    assert np.abs((await middle(pool, data))[0] - level).max() <= 2  # of sRGB's curve, 0.392 ** (gamma)


@pytest.mark.parametrize("form", ["jpeg", "png", "tiff"])
async def test_a_profile_of_grey_is_obeyed(pool, form):
    target = io.BytesIO()
    Image.new("L", (64, 64), 100).save(target, form, icc_profile=grey_profile(1.0))
    assert np.abs((await middle(pool, target.getvalue()))[0] - 168).max() <= 3


async def test_grey_with_a_profile_of_colours_is_converted(pool):
    linear = icc.profile_of(ColourTags(transfer=LINEAR))
    target = io.BytesIO()
    Image.new("L", (64, 64), 100).save(target, "png", icc_profile=linear)
    assert np.abs((await middle(pool, target.getvalue()))[0] - 168).max() <= 3


@pytest.mark.parametrize("form", ["jpeg", "tiff"])
async def test_a_profile_of_inks_is_obeyed(pool, form):
    colour, warnings = await middle(pool, stored(form, ink_profile(), "CMYK"))
    assert np.abs(colour - 197).max() <= 3  # 52 of 255 of the first ink: L* is 79.6
    assert warnings == ()


async def test_inks_with_a_profile_of_light_are_shown_without_it(pool):
    plain, _ = await middle(pool, stored("tiff", b"", "CMYK"))
    colour, warnings = await middle(pool, stored("tiff", DISPLAY_P3, "CMYK"))
    assert (colour.tolist(), warnings) == (plain.tolist(), (IGNORED,))


async def test_a_profile_of_hdr_is_shown_as_an_sdr_screen_would(pool):
    cicp = b"cicp" + bytes(4) + bytes([BT2020, 16, 0, 1])
    profile = bytearray(DISPLAY_P3)
    at = profile.index(b"wtpt", 128)
    profile[at : at + 12] = struct.pack(">4sII", b"cicp", len(profile), len(cicp))
    colour, _ = await middle(pool, png(iccp(bytes(profile + cicp)), pixels=patch((148, 148, 148))))
    assert np.abs(colour - 222).max() < 6  # 58 % of PQ is white on paper


async def test_colours_are_converted_in_the_size_of_the_model(pool):
    pixels = picture(2.0)
    large = np.asarray(Image.fromarray(pixels).resize((640, 480)))
    before = np.asarray(Image.fromarray(icc.to_srgb(large, ColourTags(DISPLAY_P3), [])).resize((320, 240)))
    behind = icc.to_srgb(np.asarray(Image.fromarray(large).resize((320, 240))), ColourTags(DISPLAY_P3), [])
    assert np.abs(before.astype(int) - behind).mean() < 0.5


async def test_a_tiff_below_a_thumbnail_has_the_profile_of_the_file(pool):
    thumbnail = Page(patch()[:8, :8], tags={254: 1, 34675: DISPLAY_P3}, below=[Page(patch())])
    assert np.allclose((await middle(pool, tiff(thumbnail)))[0], RED, atol=4)
