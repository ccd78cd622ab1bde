import av
import numpy as np
import pytest

from gateway.decode.worker.colour import _table, to_sdr
from gateway.decode.worker.resize import FrameResizer, Orientation
from tests.gateway.decode.upload import PICTURE, TARGET, decode

RED = 220, 20, 20
MATRIX = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
AV_MATRIX = {"unspecified": 2, "601": 6, "709": 1, "2020": 9}
LIMITED, FULL = 1, 2
PQ, HLG, BT2020 = 16, 18, 9


def stored(colour, matrix, value_range, bits=8):
    """Y, U and V of an RGB colour (ITU-R BT.601, BT.709 or BT.2020, in the range that the file says)."""
    kr, kb = MATRIX[matrix]
    red, green, blue = (level / 255 for level in colour)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    u, v = (blue - y) / (2 - 2 * kb), (red - y) / (2 - 2 * kr)
    if value_range == FULL:
        return [round(x * (1 << bits - 8)) for x in (255 * y, 128 + 255 * u, 128 + 255 * v)]
    return [round(x * (1 << bits - 8)) for x in (16 + 219 * y, 128 + 224 * u, 128 + 224 * v)]


def frame_of(planes, width=64, height=64, bits=8, **tags):
    """A frame of one colour as a decoder hands it out."""
    y, u, v = planes
    kind = np.uint8 if bits == 8 else np.uint16
    quarter = width * height // 4
    values = np.concatenate([np.full(4 * quarter, y, kind), np.full(quarter, u, kind), np.full(quarter, v, kind)])
    name = "yuv420p" if bits == 8 else "yuv420p10le"
    frame = av.VideoFrame.from_ndarray(values.reshape(height * 3 // 2, width), format=name)
    for tag, value in tags.items():
        setattr(frame, tag, value)
    return frame


def shown(frame, resizer=None):
    """RGB in the middle of the picture that the model gets."""
    pixels = (resizer or FrameResizer(TARGET))(frame, (frame.height, frame.width), Orientation())
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].tolist()


@pytest.mark.parametrize("value_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", ["601", "709", "2020"])
@pytest.mark.parametrize("bits", [8, 10])
def test_a_colour_comes_out_as_it_went_in(matrix, value_range, bits):
    frame = frame_of(
        stored(RED, matrix, value_range, bits), bits=bits, colorspace=AV_MATRIX[matrix], color_range=value_range
    )
    assert np.allclose(shown(frame), RED, atol=2)


@pytest.mark.parametrize(("size", "matrix"), [((640, 480), "601"), ((1280, 720), "709"), ((1920, 1080), "709")])
def test_a_video_that_does_not_say_its_matrix_has_that_of_its_size(size, matrix):
    frame = frame_of(stored(RED, matrix, LIMITED), *size, colorspace=AV_MATRIX["unspecified"], color_range=LIMITED)
    assert np.allclose(shown(frame), RED, atol=2)


def hdr(luma, transfer, u=512, v=512):
    return frame_of(
        (luma, u, v), bits=10, color_trc=transfer, colorspace=9, color_range=LIMITED, color_primaries=BT2020
    )


# What FFmpeg 8.1 makes of these greys (`dst_color_trc=BT709`), which takes 3.4 s for its first frame: of 0.05, 1.8, 20
# and 100 cd/m2 in PQ, and up to half of white in HLG.
@pytest.mark.parametrize(
    ("transfer", "lumas", "greys"),
    [(PQ, (64, 200, 300, 400, 509), (0, 29, 62, 110, 189)), (HLG, (64, 200, 400, 573, 600), (0, 44, 110, 170, 182))],
)
def test_a_grey_of_hdr_is_as_bright_as_its_light_says(transfer, lumas, greys):
    resizer = FrameResizer(TARGET)
    observed = [shown(hdr(luma, transfer), resizer) for luma in lumas]
    assert np.allclose(observed, [[grey] * 3 for grey in greys], atol=2)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_highlights_of_hdr_are_distinguished(transfer):
    # 203 cd/m2 is white on paper (ITU-R BT.2408: 58 % of PQ, 75 % of HLG); a lamp is brighter and has to look so.
    paper, lamp, sun = (
        shown(hdr(luma, transfer))[1] for luma in ((573, 640, 721) if transfer == PQ else (721, 800, 940))
    )
    assert 215 < paper < lamp - 8 < lamp < sun


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_colour_of_hdr_keeps_its_hue(transfer):
    red, green, blue = shown(hdr(450, transfer, u=480, v=580))
    assert red > 1.5 * max(green, blue)


def test_the_first_hdr_frame_makes_a_small_table_for_all_that_follow():
    _table.cache_clear()
    for _ in range(3):
        shown(hdr(509, PQ))
    made = _table.cache_info()
    assert (made.misses, made.hits) == (1, 2)
    assert len(_table(PQ, BT2020).table) <= 3 * 65**3


def test_sdr_is_left_alone():
    pixels = np.zeros((2, 2, 3), np.uint8)
    assert to_sdr(pixels, 1, 1) is pixels


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("png_transparent.png", "judged as they look on white"),
        ("gif.gif", "only the first frame was judged"),
        ("webp_animated.webp", "only the first frame was judged"),
    ],
)
async def test_what_a_picture_lost_is_reported(pool, name, reported):
    assert reported in " ".join((await decode(pool, name, PICTURE)).summary.warnings)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", ["jpeg.jpg", "png.png", "png_palette.png", "webp.webp", "avif.avif"])
async def test_of_an_ordinary_picture_nothing_is_reported(pool, name):
    assert (await decode(pool, name, PICTURE)).summary.warnings == ()
