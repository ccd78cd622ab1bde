"""What only the container says: how much of the frame is shown, what its colours mean, that it is encrypted."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadMedia
from gateway.decode.worker import matroska, mp4, presentation
from gateway.decode.worker.presentation import Crop
from tests.gateway.decode.upload import VIDEO, decode
from tests.media.build import _encode, media
from tests.media.cases import case
from tests.media.containers import with_box
from tests.media.corpus import content
from tests.media.heic import box
from tests.media.live import live
from tests.media.transport import scrambled, with_arrival_times

on_the_loop = pytest.mark.asyncio(loop_scope="session")


def clap(width, height, right=0, down=0):
    return box(b"clap", struct.pack(">2I2I2i2i", width, 1, height, 1, right, 1, down, 1))


async def shown(pool, data):
    info = (await decode(pool, data, VIDEO)).info
    return info.width_px, info.height_px


@on_the_loop
async def test_what_matroska_crops_is_not_judged(pool):
    assert await shown(pool, case("mkv_cropped_letterbox.mkv")) == (240, 180)


@on_the_loop
async def test_the_clean_aperture_of_an_mp4_is_what_is_judged(pool):
    data = with_box(media("mp4_moov_at_end.mp4").read_bytes(), clap(160, 120, right=-80, down=-60))
    decoded = await decode(pool, data, VIDEO)
    assert (decoded.info.width_px, decoded.info.height_px) == (160, 120)
    # The red block of 80 x 80 in the corner takes a third of what is left.
    red = decoded.frames[0].pixels.astype(int)
    assert (red[:, :, 0] - red[:, :, 1] > 100).mean() == pytest.approx(80 * 80 / (160 * 120), abs=0.03)


@pytest.mark.parametrize("left_px", [2, 16, 40])
@on_the_loop
async def test_what_the_stream_crops_at_the_left_is_not_judged(pool, left_px):
    options = {"preset": "ultrafast", "x264-params": f"crop-rect={left_px},0,0,0"}
    data = _encode("matroska", "libx264", [0.0, 0.04], options)
    assert await shown(pool, data) == (320 - left_px, 240)


@on_the_loop
async def test_a_turned_video_is_cropped_before_it_is_turned(pool):
    data = bytearray(with_box(media("mp4_moov_at_end.mp4").read_bytes(), clap(160, 240)))
    at = data.rindex(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    assert await shown(pool, bytes(data)) == (240, 160)


@pytest.mark.parametrize("size", [(0, 0), (400, 240), (321, 1)])
@on_the_loop
async def test_an_aperture_that_cannot_be_is_passed_over(pool, size):
    assert await shown(pool, with_box(media("mp4_moov_at_end.mp4").read_bytes(), clap(*size))) == (320, 240)


def _pixels(decoded):
    return decoded.frames[0].pixels.astype(int)


@pytest.mark.parametrize("kind", [b"nclx", b"nclc"])
@on_the_loop
async def test_hdr_that_only_the_container_tells_is_hdr(pool, kind):
    plain = media("mp4_moov_at_end.mp4").read_bytes()
    colr = box(b"colr", kind, struct.pack(">3HB", 9, 16, 9, 0)[: 7 if kind == b"nclx" else 6])
    sdr, hdr = [await decode(pool, data, VIDEO) for data in (plain, with_box(plain, colr))]
    assert np.abs(_pixels(sdr) - _pixels(hdr)).mean() > 10


@on_the_loop
async def test_what_the_stream_tells_comes_before_what_the_container_tells(pool):
    reported = content("mp4_hdr10.mp4")
    as_sdr = (
        with_box(reported, box(b"colr", b"nclx", struct.pack(">3HB", 1, 1, 1, 0)))
        if b"moov" in reported[-4000:]
        else reported
    )
    both = [await decode(pool, data, VIDEO) for data in (reported, as_sdr)]
    assert np.array_equal(_pixels(both[0]), _pixels(both[1]))


@pytest.mark.parametrize(
    "data",
    [
        lambda: case("mp4_encrypted.mp4"),
        lambda: scrambled(live(4.0)),
        lambda: with_arrival_times(scrambled(live(4.0))),
    ],
)
@on_the_loop
async def test_an_encrypted_video_is_named_as_such(pool, data):
    with pytest.raises(BadMedia, match="the video is encrypted"):
        await decode(pool, data(), VIDEO)


def element(identity, body):
    return bytes.fromhex(identity) + (len(body) | 1 << 28).to_bytes(4, "big") + body


@on_the_loop
async def test_an_encrypted_track_of_matroska_is_recognized():
    encoding = element("6d80", element("6240", element("5033", b"\1")))
    track = element("ae", element("83", b"\1") + encoding)
    assert presentation.of_matroska(track)[0].is_encrypted


@given(st.binary(max_size=200))
def test_random_bytes_are_no_presentation(data):
    assert all(each.crop.fits(*each.size_px) or not each.crop for each in presentation.of_matroska(data))


@given(st.data())
def test_a_damaged_index_has_some_presentation_or_is_refused(data):
    whole = media("mp4_faststart.mp4").read_bytes()
    start, end = mp4.index_of(lambda at, size: whole[at : at + size], len(whole))
    index = bytearray(whole[start:end])
    for _ in range(data.draw(st.integers(1, 8))):
        index[data.draw(st.integers(8, len(index) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = presentation.of_mp4(bytes(index))
    except BadMedia:
        return
    assert all(isinstance(each.crop, Crop) for each in found.values())


def with_tracks_at_the_end(data):
    """As mkvpropedit leaves a file whose tracks have grown: they are named at the beginning, and lie at the end."""
    start = data.index(bytes.fromhex("18538067"))
    parts = dict(matroska.elements(data[start + 12 :]))
    clusters = [body for identity, body in matroska.elements(data[start + 12 :]) if identity == 0x1F43B675]
    middle = element("1549a966", parts[0x1549A966]) + b"".join(element("1f43b675", each) for each in clusters)

    def seek_head(position):
        seek = element("53ab", bytes.fromhex("1654ae6b")) + element("53ac", position.to_bytes(8, "big"))
        return element("114d9b74", element("4dbb", seek))

    head = seek_head(len(seek_head(0)) + len(middle))
    body = head + middle + element("1654ae6b", parts[0x1654AE6B])
    return data[:start] + element("18538067", body)


@on_the_loop
async def test_matroska_with_its_tracks_at_the_end_is_decoded_whole(pool):
    decoded = await decode(pool, with_tracks_at_the_end(media("mkv.mkv").read_bytes()), VIDEO)
    assert (decoded.summary.frames_decoded, decoded.summary.warnings) == (100, ())


def test_tracks_of_matroska_are_found_in_bounded_time():
    reads = []
    endless = b"\x1aE\xdf\xa3\x80" + b"\x18S\x80g\x01" + b"\xff" * 7 + b"\xec\x80" * 100_000

    def read(start, size):
        reads.append(size)
        return endless[start : start + size]

    assert (matroska.tracks(read), len(reads) < 30_000) == (b"", True)
