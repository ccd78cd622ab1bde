"""A fragmented MP4 in stretches: each opens on its own, and together they are the whole."""

import io

import av
import pytest

from gateway.decode.worker.fragments import Fragments, begins_with_key_frames
from gateway.decode.worker.reader import UploadReader
from tests.media.live import live


def stretches(data, index_bytes, piece_bytes=5_000, read_bytes=1_000):
    pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    fragments = Fragments(UploadReader(lambda: pieces.pop(0) if pieces else b"", 1 << 40), index_bytes)
    while fragments.next_stretch():
        yield b"".join(iter(lambda: fragments.read(read_bytes), b""))


def packets(data):
    with av.open(io.BytesIO(data)) as media:
        return [(packet.pts, packet.is_keyframe) for packet in media.demux(video=0) if packet.pts is not None]


@pytest.mark.parametrize(("piece_bytes", "read_bytes"), [(5_000, 1_000), (997, 32_768), (1_000_000, 7)])
def test_stretches_together_are_the_whole_stream(piece_bytes, read_bytes):
    data = live(20.0, container="mp4")
    parts = list(stretches(data, 400, piece_bytes, read_bytes))
    assert len(parts) > 3
    assert [each for part in parts for each in packets(part)] == packets(data)


def test_every_stretch_begins_with_a_key_frame():
    assert all(packets(part)[0][1] for part in stretches(live(20.0, container="mp4"), 400))


def test_a_short_stream_is_one_stretch():
    data = live(5.0, container="mp4")
    assert list(stretches(data, 100_000)) == [data]


def test_a_file_without_fragments_is_one_stretch():
    data = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x0cmoovabcd" + b"\0\0\0\x00mdat" + bytes(1000)
    assert list(stretches(data, 10)) == [data]


def test_a_stream_without_further_key_frames_is_cut_in_the_end():
    data = bytearray(live(20.0, container="mp4"))
    at, runs = 0, 0
    while (at := data.find(b"trun", at + 1)) > 0:
        runs += 1
        data[at + 12 : at + 16] = (0x01010000).to_bytes(4, "big")  # first_sample_flags: no key frame
    assert runs == 20
    assert 1 < len(list(stretches(bytes(data), 500))) < 8


def test_a_fragment_that_says_nothing_of_its_samples_may_begin_a_stretch():
    assert begins_with_key_frames(b"\0\0\0\x18moof" + b"\0\0\0\x10traf" + b"\0\0\0\x08trun")
