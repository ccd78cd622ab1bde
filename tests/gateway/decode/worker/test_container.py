"""Containers that are another than they say, or that name files."""

import av
import pytest

from gateway.decode.worker.container import open_container
from gateway.decode.worker.reader import SpooledFile
from tests.media.build import media

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n"
CONCATENATION = "ffconcat version 1.0\nfile {}\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns={}\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45678 RTP/AVP 96\n"


def frames_in(data, container):
    try:
        with open_container(SpooledFile(data, len(data)), container, max_pixels=10**6, max_streams=16) as opened:
            return len(list(opened.decode(video=0)))
    except av.FFmpegError:
        return 0


@pytest.mark.parametrize("document", [PLAYLIST, CONCATENATION, SESSION])
@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "flv", "avif"])
def test_a_document_that_names_a_file_shows_nothing_of_it(document, container):
    assert frames_in(document.format(media("mpegts.ts")).encode(), container) == 0


def test_a_container_is_not_opened_as_another():
    assert frames_in(media("mkv.mkv").read_bytes(), "mp4") == 0


def test_frames_above_the_limit_are_not_decoded():
    data = media("mpegts.ts").read_bytes()
    with open_container(SpooledFile(data, len(data)), "mpegts", max_pixels=1000, max_streams=16) as opened:
        stream = opened.streams.video[0]
        stream.codec_context.options = {"max_pixels": "1000"}
        with pytest.raises(av.FFmpegError):
            list(opened.decode(stream))
