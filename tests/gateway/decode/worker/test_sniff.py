"""gateway/decode/worker/sniff.py: what the first bytes say."""

import pytest

from assay.errors import BadMedia, InvalidRequest
from gateway.decode.worker.sniff import STILL, VIDEO, sniff
from tests.media.build import media

FILES = [
    ("jpeg.jpg", "jpeg"),
    ("png.png", "png"),
    ("webp.webp", "webp"),
    ("tiff.tiff", "tiff"),
    ("avif.avif", "avif"),
    ("mp4_faststart.mp4", "mp4"),
    ("mkv.mkv", "matroska"),
    ("mpegts.ts", "mpegts"),
    ("flv.flv", "flv"),
]


def named(data: bytes, is_video: bool) -> str:
    return sniff(lambda count: data[:count], is_video)


@pytest.mark.parametrize(("file", "container"), FILES)
def test_a_file_is_what_its_first_bytes_say(file, container):
    assert named(media(file).read_bytes(), container in VIDEO) == container


@pytest.mark.parametrize(("file", "container"), FILES)
def test_a_file_that_is_sent_with_the_other_call_is_refused_with_the_right_one(file, container):
    with pytest.raises(InvalidRequest, match=r"send it with the (image|video) call"):
        named(media(file).read_bytes(), container in STILL)


@pytest.mark.parametrize("stray", [b"\0" * 50, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_stream_is_found_behind_something_else(stray):
    assert named(stray + media("mpegts.ts").read_bytes(), is_video=True) == "mpegts"


@pytest.mark.parametrize("data", [b"", b"plain words", b"\x47", bytes(5000), b"%PDF-1.7", b"ID3\x04"])
def test_what_is_neither_picture_nor_video_is_refused(data):
    with pytest.raises(BadMedia):
        named(data, is_video=False)
