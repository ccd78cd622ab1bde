import dataclasses
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from assay.errors import BadMedia, InvalidRequest, OverLimit
from gateway.decode.spec import DecodeLimits, Shrink
from tests.gateway.decode.upload import PICTURE, decode
from tests.media.bombs import PICTURES as BOMBS
from tests.media.build import media, picture
from tests.media.cases import case
from tests.media.heic import grid

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPRIGHT = ["jpeg.jpg", "jpeg_progressive.jpg", "png.png", "png_palette.png", "webp.webp", "gif.gif", "bmp.bmp"]
DECODED = [*UPRIGHT, "tiff.tiff", "avif.avif", "webp_animated.webp", "jpeg_rotated_90.jpg", "jpeg_mirrored.jpg"]


def as_in_training(name, shape):
    """What Pillow makes of the file, resized by Pillow: the way of the training data."""
    with Image.open(media(name)) as image:
        upright = ImageOps.exif_transpose(image.convert("RGB"))
    return np.asarray(upright.resize(shape[1::-1], Image.Resampling.BICUBIC)).astype(int)


@pytest.mark.parametrize("name", DECODED)
async def test_a_picture_looks_as_it_did_in_training(pool, name):
    pixels = (await decode(pool, name, PICTURE)).frames[0].pixels
    # libjpeg and FFmpeg interpolate chroma differently at the edge of the red block: 0.5 levels on average.
    assert np.abs(pixels - as_in_training(name, pixels.shape)).mean() < 0.8


@pytest.mark.parametrize("name", [*DECODED, "avif_rotated_90.avif"])
async def test_sides_are_multiples_of_the_patch(pool, name):
    height, width, _ = (await decode(pool, name, PICTURE)).frames[0].pixels.shape
    assert (height % 28, width % 28) == (0, 0)


@pytest.mark.parametrize(
    ("name", "corner"),
    [("jpeg_rotated_90.jpg", "top right"), ("jpeg_mirrored.jpg", "top right"), ("avif_rotated_90.avif", "top right")],
)
async def test_a_picture_is_turned_as_its_camera_was_held(pool, name, corner):
    assert (await decode(pool, name, PICTURE)).red_corner() == corner


async def test_size_is_reported_as_displayed(pool):
    info = (await decode(pool, "jpeg_rotated_90.jpg", PICTURE)).info
    assert (info.container, info.codec, info.width_px, info.height_px) == ("jpeg", "mjpeg", 240, 320)


async def test_transparency_shows_white(pool):
    assert (await decode(pool, "png_transparent.png", PICTURE)).frames[0].pixels.min() == 255


async def test_bytes_behind_the_picture_do_not_matter(pool):
    data = media("jpeg.jpg").read_bytes() + b"trailer" * 5000
    assert len((await decode(pool, data, PICTURE)).frames) == 1


@pytest.mark.parametrize(
    "name",
    [
        "jpeg_truncated.jpg",
        "jpeg_header_only.jpg",
        "jpeg_progressive_truncated.jpg",
        "png_truncated.png",
        "webp_truncated.webp",
        "webp_animated_truncated.webp",
        "gif_truncated.gif",
        "bmp_truncated.bmp",
        "tiff_truncated.tiff",
        "avif_truncated.avif",
    ],
)
async def test_a_picture_that_is_cut_off_is_refused(pool, name):
    with pytest.raises(BadMedia, match="cut off"):
        await decode(pool, name, PICTURE)


@pytest.mark.parametrize("missing", [100, 1000])
async def test_a_picture_that_lacks_only_its_last_rows_is_refused(pool, missing):
    with pytest.raises(BadMedia):
        await decode(pool, media("jpeg.jpg").read_bytes()[:-missing], PICTURE)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("empty.bin", "the file is empty"),
        ("random_bytes.jpg", "no known kind"),
        ("text_renamed.jpg", "this is a text"),
        ("pdf_renamed.jpg", "a PDF document"),
        ("heic.heic", "the HEIC picture is damaged"),
        ("png_too_narrow.png", "3 x 1000 pixels"),
    ],
)
async def test_a_complaint_names_what_was_sent(pool, name, complaint):
    with pytest.raises(BadMedia, match=complaint):
        await decode(pool, name, PICTURE)


async def test_a_grid_of_tiles_is_one_upright_picture(pool):
    decoded = await decode(pool, grid(411, 300, quarter_turns=1), PICTURE)
    assert (decoded.info.container, decoded.info.width_px, decoded.info.height_px) == ("heic", 300, 411)
    assert decoded.red_corner() == "bottom left"
    below = decoded.frames[0].pixels[-90:].astype(int)
    above = decoded.frames[0].pixels[:200].astype(int)
    assert abs(above.mean() - 80) < 4  # every tile is there, in its own colours
    assert (below[:, :, 0] - below[:, :, 1]).max() > 150


async def test_a_grid_without_its_last_tiles_is_refused(pool):
    whole = grid()
    for size in (len(whole) - 1, len(whole) // 2, 1000, 100):
        with pytest.raises(BadMedia, match="HEIC picture is damaged or cut off"):
            await decode(pool, whole[:size], PICTURE)


async def test_a_grid_whose_tiles_lie_behind_the_end_is_refused(pool):
    data = bytearray(grid())
    places = data.index(b"iloc") + 12
    data[places + 8 : places + 12] = (len(data) - 10).to_bytes(4, "big")
    with pytest.raises(BadMedia, match="HEIC picture is damaged or cut off"):
        await decode(pool, bytes(data), PICTURE)


async def test_a_video_sent_as_a_picture_is_pointed_to_the_right_call(pool):
    with pytest.raises(InvalidRequest, match="send it with the video call"):
        await decode(pool, "mp4_faststart.mp4", PICTURE)


async def test_a_picture_bomb_is_refused_before_it_is_decoded(pool):
    with pytest.raises(OverLimit, match=r"400.0 million pixels, the limit is 50.0 million"):
        await decode(pool, "png_too_many_pixels.png", PICTURE)


async def test_an_upload_over_the_limit_is_refused(pool):
    spec = dataclasses.replace(PICTURE, limits=DecodeLimits(max_image_bytes=10_000))
    with pytest.raises(OverLimit, match="10000 bytes"):
        await decode(pool, "png.png", spec)


async def test_half_a_photo_at_random_never_scores_with_a_grey_bottom(pool):
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "jpeg", quality=85, optimize=True, restart_marker_rows=1)
    with pytest.raises(BadMedia):
        await decode(pool, whole.getvalue()[: len(whole.getvalue()) * 2 // 3], PICTURE)


async def test_a_picture_can_be_shrunk_before_it_is_resized(pool):
    shrunk = dataclasses.replace(PICTURE.target, shrink_first=Shrink(10_000, "nearest"))
    pixels = (await decode(pool, "png.png", dataclasses.replace(PICTURE, target=shrunk))).frames[0].pixels
    assert pixels.shape == (84, 112, 3)


def jpeg(pixels=None, **options):
    target = io.BytesIO()
    Image.fromarray(picture(2.0) if pixels is None else pixels).save(target, "jpeg", quality=90, **options)
    return target.getvalue()


def mpo(*others):
    target = io.BytesIO()
    first, *rest = [Image.fromarray(picture(seconds)) for seconds in (2.0, *others)]
    first.save(target, "mpo", save_all=True, append_images=rest, quality=90)
    return target.getvalue()


async def test_of_several_pictures_the_first_is_judged_and_reported(pool):
    decoded = await decode(pool, mpo(4.0), PICTURE)
    assert decoded.summary.warnings == ("the file holds several pictures: the first of several pictures was judged",)
    assert abs(decoded.levels[0] - 80) < 2


async def test_a_picture_whose_second_was_stripped_is_an_ordinary_one(pool):
    whole = mpo(4.0)
    for data in (case("mpo_second_picture_missing.jpg"), whole[: whole.index(b"\xff\xd8", 4)]):
        assert (await decode(pool, data, PICTURE)).summary.warnings == ()


def preview_inside():
    """The second is said to be a large thumbnail."""
    data = bytearray(mpo(4.0))
    kind = data.index(b"MPF\0") + 4 + 50 + 16
    data[kind : kind + 4] = b"\1\0\1\0"
    return bytes(data)


def gain_map_inside():
    """The second says how much brighter the first may be shown."""
    data = mpo(4.0)
    second = data.index(b"\xff\xd8", 4) + 2
    return data[:second] + b"\xff\xe1\0\x23http://ns.adobe.com/hdr-gain-map/\0" + data[second:]


@pytest.mark.parametrize("data", [preview_inside(), gain_map_inside()], ids=["preview", "gain map"])
async def test_what_belongs_to_the_picture_is_no_further_one(pool, data):
    assert (await decode(pool, data, PICTURE)).summary.warnings == ()


@pytest.mark.parametrize("variant", ["arithmetic", "arithmetic_progressive", "lossless", "12_bit"])
async def test_a_jpeg_of_a_rare_kind_looks_like_any_other(pool, variant):
    decoded = await decode(pool, case(f"jpeg_{variant}.jpg"), PICTURE)
    assert decoded.red_corner() == "top left"
    assert abs(decoded.frames[0].pixels[-20:].mean() - 80) < 3


async def test_an_arithmetic_jpeg_may_be_longer_than_pillows_buffer(pool):
    data = case("jpeg_arithmetic.jpg")
    comment_bytes = 65_536 - len(data) + 400  # so that the buffer ends within the scan
    padded = data[:2] + b"\xff\xfe" + (comment_bytes - 2).to_bytes(2, "big") + bytes(comment_bytes - 4) + data[2:]
    assert (await decode(pool, padded, PICTURE)).red_corner() == "top left"


async def test_a_jpeg_of_a_rare_kind_that_cannot_be_decoded_is_named(pool):
    hierarchical = jpeg().replace(b"\xff\xc0", b"\xff\xc5", 1)
    with pytest.raises(BadMedia, match=r"a JPEG of a rare kind \(hierarchical\)"):
        await decode(pool, hierarchical, PICTURE)


async def test_a_limit_is_named_as_a_limit(pool):
    with pytest.raises(OverLimit, match=r"268.4 million pixels, the limit is 50.0 million"):
        await decode(pool, BOMBS["webp_16k.webp"](), PICTURE)


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp"])
async def test_a_picture_of_just_the_limit_is_judged(pool, form):
    target = io.BytesIO()
    Image.fromarray(picture(2.0)[:200, :201]).save(target, form)
    limited = dataclasses.replace(PICTURE, limits=DecodeLimits(max_image_pixels=201 * 200))
    assert (await decode(pool, target.getvalue(), limited)).info.width_px == 201


def framed() -> bytes:
    file = io.BytesIO()
    ImageOps.expand(Image.fromarray(picture(2.0)), 20, "black").save(file, "PNG")
    return file.getvalue()


async def test_a_border_is_left_out_and_said_where_the_checkpoint_wants_it(pool):
    without = dataclasses.replace(PICTURE, target=dataclasses.replace(PICTURE.target, leave_out_borders=True))
    decoded, bare = await decode(pool, framed(), without), await decode(pool, "png.png", PICTURE)
    assert np.array_equal(decoded.frames[0].pixels, bare.frames[0].pixels)
    assert "the black border was left out" in "".join(decoded.summary.warnings)


async def test_a_border_stays_otherwise(pool):
    decoded = await decode(pool, framed(), PICTURE)
    assert (decoded.frames[0].pixels.min(), decoded.summary.warnings) == (0, ())
