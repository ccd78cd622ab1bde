import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError, BadMedia, OverLimit
from gateway.decode.spec import DecodeLimits
from gateway.decode.worker import matroska, mp4
from tests.media.build import media

LIMITS = DecodeLimits()


def window(data):
    return lambda start, size: data[start : start + size]


def layout_of(name):
    return mp4.layout(window(media(name).read_bytes()), LIMITS.max_index_bytes, 1 << 20)


def box(kind, *bodies):
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def index_of(name):
    data = media(name).read_bytes()
    start, end = mp4.index_of(window(data), len(data))
    return data[start:end]


@pytest.mark.parametrize("name", ["mp4_faststart.mp4", "mp4_fragmented.mp4", "mp4_with_sound.mp4"])
def test_an_index_before_the_media_is_found(name):
    data = media(name).read_bytes()
    start, _ = layout_of(name).index
    assert data[start + 4 : start + 8] == b"moov"


def test_an_index_behind_the_media_is_not_waited_for():
    assert layout_of("mp4_moov_at_end.mp4").index is None


def test_a_complete_file_declares_its_own_length():
    assert layout_of("mp4_faststart.mp4").declared_bytes == media("mp4_faststart.mp4").stat().st_size


@pytest.mark.parametrize("name", ["mp4_faststart.mp4", "mp4_moov_at_end.mp4", "mov_with_sound.mov"])
def test_an_honest_index_passes(name):
    mp4.check_index(index_of(name), LIMITS)


@pytest.mark.parametrize("name", ["mp4_sample_bomb.mp4", "mp4_table_larger_than_file.mp4"])
def test_an_index_that_claims_too_much_is_refused(name):
    with pytest.raises((BadMedia, OverLimit)):
        mp4.check_index(index_of(name), LIMITS)


def test_as_many_tracks_pass_as_people_have():
    mp4.check_index(box(b"moov", *[box(b"trak")] * 200), LIMITS)


def test_a_thousand_tracks_are_refused():
    with pytest.raises(OverLimit, match="more than 1000 tracks"):
        mp4.check_index(box(b"moov", *[box(b"trak")] * 1001), LIMITS)


def _track(count, handler=b"sowt", ticks=1):
    stsd, stts = box(b"stsd", bytes(8), box(handler)), box(b"stts", struct.pack(">4I", 0, 1, count, ticks))
    return box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", stsd, stts))))


def test_samples_of_all_tracks_together_are_limited():
    with pytest.raises(OverLimit, match="the tracks of the MP4 claim 5700000 samples"):
        mp4.check_index(box(b"moov", *[_track(1_900_000, b"mp4a")] * 3), LIMITS)


def test_uncompressed_sound_that_is_indexed_one_by_one_is_counted():
    with pytest.raises(OverLimit, match="57600000 samples"):
        mp4.check_index(box(b"moov", _track(48000 * 1200, ticks=2)), LIMITS)


def test_uncompressed_sound_may_have_a_sample_for_every_tick():
    mp4.check_index(box(b"moov", _track(48000 * 1200)), LIMITS)


@given(st.data())
def test_a_damaged_index_is_refused_or_passes_but_never_breaks_the_walk(data):
    index = bytearray(index_of("mp4_faststart.mp4"))
    for _ in range(data.draw(st.integers(1, 8))):
        index[data.draw(st.integers(0, len(index) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AssayError):  # anything else fails the test
        mp4.check_index(bytes(index), LIMITS)


@given(st.binary(max_size=200))
def test_the_walk_over_random_bytes_ends(data):
    with contextlib.suppress(AssayError):  # anything else fails the test
        mp4.layout(window(data), LIMITS.max_index_bytes, 1 << 20)


def test_a_matroska_file_declares_its_own_length():
    data = media("mkv.mkv").read_bytes()
    assert matroska.declared_bytes(data[:4096]) == len(data)


@given(st.binary(max_size=60))
def test_random_bytes_declare_nothing_as_matroska(data):
    assert matroska.declared_bytes(b"\x1aE\xdf\xa3" + data) >= 0
