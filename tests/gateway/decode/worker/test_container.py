"""Containers that are another than they say, or that name files."""

import dataclasses

import av
import pytest

from assay.errors import BadMedia
from gateway.decode.spec import DecodeSource
from gateway.decode.worker.container import open_container
from gateway.decode.worker.packet_clock import WRAP_SECONDS
from gateway.decode.worker.reader import SpooledFile
from tests.gateway.decode.upload import VIDEO, decode
from tests.media.build import media
from tests.media.cases import case
from tests.media.live import live
from tests.media.transport import of_other_recorder, sound_before, with_arrival_times, with_error_correction

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n"
CONCATENATION = "ffconcat version 1.0\nfile {}\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45678 RTP/AVP 96\n"

pytestmark = pytest.mark.asyncio(loop_scope="session")


def frames_in(data, container):
    try:
        with open_container(SpooledFile(data, len(data)), container, max_pixels=10**6, max_streams=16) as opened:
            return len(list(opened.decode(video=0)))
    except av.FFmpegError:
        return 0


@pytest.mark.parametrize("document", [PLAYLIST, CONCATENATION, SESSION])
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "avif"])
async def test_a_document_that_names_a_file_shows_nothing_of_it(document, container):
    assert frames_in(document.format(media("mpegts.ts")).encode(), container) == 0


async def test_a_container_is_not_opened_as_another():
    assert frames_in(media("mkv.mkv").read_bytes(), "mp4") == 0


async def test_frames_above_the_limit_are_not_decoded():
    data = media("mpegts.ts").read_bytes()
    with open_container(SpooledFile(data, len(data)), "mpegts", max_pixels=1000, max_streams=16) as opened:
        stream = opened.streams.video[0]
        stream.codec_context.options = {"max_pixels": "1000"}
        with pytest.raises(av.FFmpegError):
            list(opened.decode(stream))


STREAM = dataclasses.replace(VIDEO, source=DecodeSource.STREAM)
JUMPS = "the clock of the video jumps or starts again"


def halves(seconds):
    return [i / 2 for i in range(int(2 * seconds))]


@pytest.mark.parametrize("spec", [VIDEO, STREAM])
@pytest.mark.parametrize("packed", [bytes, with_arrival_times, with_error_correction])
@pytest.mark.parametrize("missing_bytes", [0, 1, 100, 191])
async def test_packets_of_any_size_are_read_from_any_byte_on(pool, packed, missing_bytes, spec):
    decoded = await decode(pool, packed(live(4.0))[missing_bytes:], spec)
    # The tables in the first packets are repeated; at most the first frame is lost with its packet.
    assert len(decoded.times) == 8


async def test_what_a_camcorder_writes_is_decoded_whole(pool):
    summary = (await decode(pool, case("ts_avchd_192_byte_packets.mts"), VIDEO)).summary
    assert (summary.frames_decoded, round(summary.duration_seconds, 2)) == (100, 3.96)


async def test_a_byte_that_looks_like_a_packets_first_makes_no_transport_stream(pool):
    with pytest.raises(BadMedia, match="no known kind"):
        await decode(pool, (b"\x8f" * 99 + b"G" + b"\x8f" * 88) * 5 + b"\x8f" * 3000, VIDEO)


async def test_two_recordings_that_were_joined_are_both_found(pool):
    decoded = await decode(pool, case("ts_two_recordings_joined.ts"), VIDEO)
    assert (decoded.summary.frames_decoded, round(decoded.summary.duration_seconds, 2)) == (200, 7.96)
    assert f"{JUMPS} 1 times" in decoded.summary.warnings[0]


@pytest.mark.parametrize(
    "starts", [(100.0, 0.0), (0.0, 18_000.0), (0.0, 90.0), (5.0, 5.0, 5.0), (50_000.0, 3.0, 80_000.0)]
)
async def test_a_file_goes_on_where_its_clock_jumps(pool, starts):
    decoded = await decode(pool, b"".join(live(4.0, start) for start in starts), VIDEO)
    assert decoded.times == halves(4 * len(starts))


@pytest.mark.parametrize("spec", [VIDEO, STREAM])
@pytest.mark.parametrize("packed", [bytes, with_arrival_times])
@pytest.mark.parametrize("missing_bytes", [0, 100])
async def test_recordings_of_several_recorders_that_were_joined_are_all_decoded(pool, packed, missing_bytes, spec):
    one = live(4.0, 5000.0)
    other = packed(of_other_recorder(live(4.0)))[missing_bytes:]
    decoded = await decode(pool, packed(one) + other + packed(one), spec)
    assert len(decoded.times) == 24


async def test_what_another_recorder_calls_by_the_pictures_number_is_not_the_picture(pool):
    picture_pid = "0x100"
    other = of_other_recorder(sound_before(0.5, live(4.0)), mpegts_start_pid=picture_pid)
    decoded = await decode(pool, live(4.0, 5000.0) + other, VIDEO)
    assert len(decoded.times) == 16


async def test_a_part_in_another_codec_is_left_out_with_a_word(pool):
    mpeg2 = of_other_recorder(media("mpegps_small.mpg").read_bytes())
    decoded = await decode(pool, live(4.0) + mpeg2, VIDEO)
    assert (decoded.times, "other codec" in decoded.summary.warnings[-1]) == (halves(4), True)


async def test_a_part_whose_tables_differ_only_in_the_codec_is_left_out_with_a_word(pool):
    numbers = {"mpegts_start_pid": "0x100", "mpegts_pmt_start_pid": "0x1000"}
    mpeg2 = of_other_recorder(media("mpegps_small.mpg").read_bytes(), **numbers)
    decoded = await decode(pool, live(4.0) + mpeg2, VIDEO)
    assert (decoded.times, "other codec" in decoded.summary.warnings[-1]) == (halves(4), True)


async def test_a_part_that_gives_the_pictures_number_to_the_sound_is_decoded(pool):
    numbers = {"mpegts_start_pid": "0xFF", "mpegts_pmt_start_pid": "0x1000"}
    swapped = of_other_recorder(live(4.0, 5000.0), **numbers)
    decoded = await decode(pool, live(4.0) + swapped, VIDEO)
    assert decoded.times == halves(8)


@pytest.mark.parametrize("stray", [bytes(188 * 3), bytes(range(256)) * 4, b"\xa5" * 20_001])
async def test_what_stands_before_the_first_packet_is_passed_over(pool, stray):
    decoded = await decode(pool, stray + live(4.0), VIDEO)
    assert (decoded.times, decoded.summary.warnings) == (halves(4), ())


@pytest.mark.parametrize("cut", [lambda data: data[777:], lambda data: bytes(3000) + data])
async def test_a_programme_stream_may_begin_anywhere(pool, cut):
    data = media("mpegps_small.mpg").read_bytes()
    assert (await decode(pool, cut(data + data), VIDEO)).summary.end_seconds >= 0.4


async def test_a_file_goes_on_where_its_clock_wraps(pool):
    decoded = await decode(pool, live(4.0, WRAP_SECONDS - 2.05), VIDEO)
    assert (decoded.times, decoded.summary.warnings) == (halves(4), ())


@pytest.mark.parametrize("key_frames", ["exact", "auto"])
async def test_packets_are_skipped_across_a_jump_too(pool, key_frames):
    data = b"".join(live(12.0, start) for start in (100.0, 0.0, 9_000.0))
    spec = dataclasses.replace(VIDEO, key_frames=key_frames, frames_per_second=0.2)
    decoded = await decode(pool, data, spec)
    assert decoded.times == pytest.approx([0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0], abs=0.11)
    assert decoded.summary.packets_skipped > 100


async def test_a_picture_that_stands_for_half_a_minute_is_no_jump_of_a_file(pool):
    decoded = await decode(pool, live(1.0, 0.0) + live(1.0, 30.0), VIDEO)
    assert round(decoded.summary.duration_seconds, 1) == 30.9
