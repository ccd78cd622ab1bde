"""Interlaced video: combs go, what has none stays as it is, and the result says so."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from gateway.decode.worker.deinterlace import DEINTERLACED, is_combed
from tests.gateway.decode.upload import VIDEO, decode
from tests.media.cases import case
from tests.media.containers import with_box, with_element
from tests.media.heic import box

pytestmark = pytest.mark.asyncio(loop_scope="session")
SIZE = WIDTH, HEIGHT = 320, 240


def picture(moment):
    """A pattern that moves by three pixels in each of fifty moments a second."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    level = 128 + 80 * np.sin((x + 3 * moment) / 7) + 30 * np.sin(y / 9)
    return np.repeat(level.astype(np.uint8)[:, :, None], 3, axis=2)


def woven(index):
    """Two moments, every second line of each, the lower one of each two lines first."""
    frame = picture(2 * index)
    frame[::2] = picture(2 * index + 1)[::2]
    return frame


def whole(index):
    return picture(2 * index)


def film(frames, container, codec, pix_fmt="yuv420p", size=SIZE, **options):
    target = io.BytesIO()
    with av.open(
        target, "w", format=container, options={"movflags": "empty_moov"} if container == "mov" else {}
    ) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        (stream.width, stream.height), stream.pix_fmt = size, pix_fmt
        stream.codec_context.thread_count = 1
        for index, pixels in enumerate(frames):
            rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = VideoReformatter().reformat(rgb, *size, format=pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()


# PyAV cannot tell an encoder that the top field comes first; a file of that kind is among tests/media/cases.
INTERLACED = [
    ("matroska", "libx264", {"x264-params": "bff=1", "preset": "ultrafast", "crf": "12"}),
    ("mpegts", "libx264", {"x264-params": "bff=1", "preset": "ultrafast", "crf": "12"}),
    ("mpeg", "mpeg2video", {"flags": "+ildct+ilme", "qmin": "2", "qmax": "4"}),
    ("mov", "prores_ks", {"flags": "+ildct", "profile": "1"}),
]


def far(decoded, twin):
    pairs = zip(decoded.frames[1:3], twin.frames[1:3], strict=True)
    return max(float(np.abs(a.pixels.astype(int) - b.pixels).mean()) for a, b in pairs)


@pytest.mark.parametrize(("container", "codec", "options"), INTERLACED)
async def test_an_interlaced_video_looks_like_its_progressive_twin(pool, container, codec, options):
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    both = [
        await decode(pool, film(frames, container, codec, pix_fmt, **options), VIDEO)
        for frames in ([woven(i) for i in range(40)], [picture(2 * i) for i in range(40)])
    ]
    assert far(*both) < 4.0
    assert both[0].summary.warnings == (DEINTERLACED,)


@pytest.mark.parametrize(("container", "codec", "options"), INTERLACED)
async def test_what_only_says_that_it_is_interlaced_stays_as_it_is(pool, container, codec, options):
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    data = film([picture(2 * i) for i in range(40)], container, codec, pix_fmt, **options)
    assert (await decode(pool, data, VIDEO)).summary.warnings == ()


@pytest.mark.parametrize(("container", "said"), [("matroska", b"\x9d\x81\x06"), ("mp4", box(b"fiel", b"\2\6"))])
async def test_a_stream_that_does_not_say_it_is_interlaced_where_its_container_does(pool, container, said):
    coded = {"preset": "ultrafast", "crf": "12"}
    twin, silent = (film(map(each, range(28)), container, "libx264", **coded) for each in (whole, woven))
    telling = with_element(silent, said) if container == "matroska" else with_box(silent, said)
    both = [await decode(pool, data, VIDEO) for data in (telling, twin)]
    assert far(*both) < 4.0
    assert [each.summary.warnings for each in (*both, await decode(pool, silent, VIDEO))] == [(DEINTERLACED,), (), ()]


async def test_a_pan_and_its_progressive_twin_are_alike(pool):
    both = [await decode(pool, case(f"mp4_{name}.mp4"), VIDEO) for name in ("interlaced", "the_same_progressive")]
    assert far(*both) < 5.0
    assert (both[0].summary.warnings, both[1].summary.warnings) == ((DEINTERLACED,), ())


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "nv12", "gray"])
async def test_combs_are_found_in_every_format(pix_fmt):
    frames = [av.VideoFrame.from_ndarray(pixels, format="rgb24") for pixels in (woven(0), picture(0))]
    assert [is_combed(VideoReformatter().reformat(frame, format=pix_fmt)) for frame in frames] == [True, False]


async def test_combs_are_found_in_a_picture_with_little_detail():
    plain, combed = np.full((HEIGHT, WIDTH, 3), 90, np.uint8), np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    plain[100:120, 100:112] = combed[100:120, 100:112] = 160
    combed[100:120:2, 104:116], combed[100:120:2, 100:104] = 160, 90
    assert [
        is_combed(av.VideoFrame.from_ndarray(pixels, format="gray")) for pixels in (combed[..., 0], plain[..., 0])
    ] == [
        True,
        False,
    ]
