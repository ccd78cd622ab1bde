"""gateway/decode/worker/matroska.py: the elements of WebM and Matroska, also of files that lie."""

import pytest

from gateway.decode.worker import matroska
from tests.media.build import media


def element(identity: int, body: bytes, size: int | None = None) -> bytes:
    """With a size of four bytes."""
    length = len(body) if size is None else size
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + (0x10000000 | length).to_bytes(4, "big") + body


def reader(data: bytes):
    return lambda start, count: data[start : start + count]


def test_a_file_says_how_long_it_is():
    data = media("mkv.mkv").read_bytes()
    assert matroska.declared_bytes(data[: matroska.HEAD_BYTES]) in (len(data), 0)


def test_a_segment_of_known_size_ends_where_it_says():
    data = element(0x1A45DFA3, b"\0" * 7) + element(0x18538067, b"", size=1000)
    assert matroska.declared_bytes(data) == len(data) + 1000


@pytest.mark.parametrize("data", [b"", b"\0" * 20, element(0x1A45DFA3, b"x"), b"\x1aE\xdf\xa3"])
def test_what_does_not_say_how_long_it_is_says_nothing(data):
    assert matroska.declared_bytes(data) == 0


@pytest.mark.parametrize("name", ["mkv.mkv", "webm.webm"])
def test_the_tracks_of_a_real_file_have_a_picture_of_its_size(name):
    body = matroska.tracks(reader(media(name).read_bytes()))
    track, *_ = [dict(matroska.elements(each)) for kind, each in matroska.elements(body) if kind == matroska.TRACK]
    picture = dict(matroska.elements(track[matroska.VIDEO]))
    assert matroska.number(track[matroska.TRACK_TYPE]) == matroska.PICTURE
    assert matroska.number(picture[matroska.WIDTH]) > 0


def test_tracks_behind_the_first_cluster_are_found_in_a_whole_file_alone():
    inside = element(0x1F43B675, b"frames") + element(0x1654AE6B, b"tracks")
    data = element(0x1A45DFA3, b"") + element(0x18538067, inside)
    assert (matroska.tracks(reader(data)), matroska.tracks(reader(data), len(data))) == (b"", b"tracks")


def test_elements_end_where_one_is_cut_off():
    whole, cut = element(0xAE, b"one"), element(0xAE, b"two", size=100)
    assert [*matroska.elements(whole + cut)] == [(0xAE, b"one")]


@pytest.mark.parametrize(("kind", "is_encrypted"), [(b"\x01", True), (b"\x00", False), (b"", False)])
def test_a_track_that_needs_a_key_says_so(kind, is_encrypted):
    encodings = element(0x6240, element(0x5033, kind))
    assert matroska.is_encrypted({0x6D80: encodings}) == is_encrypted
