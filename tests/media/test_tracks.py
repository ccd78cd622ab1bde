"""Files of many tracks: the picture's is decoded whole, whatever comes before it and however many there are."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.gateway.decode.upload import VIDEO, decode
from tests.media.build import _in_file, media
from tests.media.cases import case
from tests.media.live import live
from tests.media.transport import sound_before

pytestmark = pytest.mark.asyncio(loop_scope="session")
HALF_SECONDS = [0.0, 0.52, 1.0, 1.52, 2.0, 2.52, 3.0, 3.52]


def among_sounds(container, count, codec, **muxing):
    """The clip of tests/media/build.py as the last of so many tracks."""

    def write(path):
        with (
            av.open(io.BytesIO(media("mp4_faststart.mp4").read_bytes())) as source,
            av.open(path, "w", format=container, options=muxing) as out,
        ):
            sounds = [out.add_stream(codec, rate=48000, layout="mono") for _ in range(count)]
            picture = out.add_stream_from_template(source.streams.video[0])
            packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.time_base = 48000, Fraction(1, 48000)
            for second in range(4):
                silence.pts = second * 48000
                for sound in sounds:
                    out.mux(sound.encode(silence))
                for packet in packets[25 * second : 25 * second + 25]:
                    packet.stream = picture
                    out.mux(packet)
            for sound in sounds:
                out.mux(sound.encode(None))

    return _in_file(write)


@pytest.mark.parametrize("name", ["mkv_18_subtitle_tracks.mkv", "ts_18_sound_tracks.ts"])
async def test_no_frame_is_lost_among_eighteen_other_tracks(pool, name):
    summary = (await decode(pool, case(name), VIDEO)).summary
    assert (summary.frames_decoded, round(summary.duration_seconds, 2), summary.warnings) == (100, 3.96, ())


@pytest.mark.parametrize(
    ("container", "codec", "muxing"),
    [
        ("mov", "pcm_s16le", {}),
        ("mov", "pcm_s16le", {"movflags": "faststart"}),
        ("mov", "pcm_s16le", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
        ("matroska", "pcm_s16le", {}),
    ],
)
async def test_no_frame_is_lost_behind_forty_sound_tracks(pool, container, codec, muxing):
    decoded = await decode(pool, among_sounds(container, 40, codec, **muxing), VIDEO)
    assert (decoded.times, decoded.summary.frames_decoded) == (HALF_SECONDS, 100)


async def test_of_several_pictures_the_result_says_which(pool):
    def write(path):
        with av.open(str(media("mp4_faststart.mp4"))) as source, av.open(path, "w", format="matroska") as out:
            pictures = [out.add_stream_from_template(source.streams.video[0]) for _ in range(2)]
            for packet in source.demux(video=0):
                for picture in pictures if packet.dts is not None else ():
                    packet.stream = picture
                    out.mux(packet)

    warnings = (await decode(pool, _in_file(write), VIDEO)).summary.warnings
    assert warnings == ("the file has 2 video tracks, of which number 1 was judged",)


async def test_a_picture_that_begins_after_a_minute_of_sound_is_found(pool):
    decoded = await decode(pool, sound_before(60.0, live(4.0)), VIDEO)
    assert decoded.times == [i / 2 for i in range(8)]
