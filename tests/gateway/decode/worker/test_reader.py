import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import OverLimit
from gateway.decode.worker.fragments import Fragments
from gateway.decode.worker.reader import Abandoned, BoundedReader, SpooledFile, UploadReader
from tests.media.live import live

CHUNKS = st.lists(st.binary(min_size=1, max_size=50), max_size=20)
SIZES = st.lists(st.integers(0, 60), min_size=1, max_size=50)


def upload_of(chunks, max_bytes=10_000):
    rest = iter([*chunks, b"", b""])
    return UploadReader(lambda: next(rest), max_bytes)


@given(CHUNKS, SIZES)
def test_no_read_returns_more_than_was_asked_for(chunks, sizes):
    reader = BoundedReader(upload_of(chunks).read)
    assert all(len(reader.read(size)) <= size for size in sizes)


@given(CHUNKS, st.integers(1, 60), st.integers(0, 100))
def test_every_byte_comes_once_and_in_order_however_it_is_read(chunks, size, peeked):
    upload = upload_of(chunks)
    upload.peek(peeked)
    assert b"".join(iter(lambda: upload.read(size), b"")) == b"".join(chunks)


@given(CHUNKS, st.integers(0, 100))
def test_looking_ahead_shows_the_beginning(chunks, size):
    assert upload_of(chunks).peek(size) == b"".join(chunks)[:size]


@given(CHUNKS, st.integers(0, 100), st.integers(1, 60))
def test_a_spooled_upload_can_be_read_from_anywhere(chunks, start, size):
    spool, whole = upload_of(chunks).spool(), b"".join(chunks)
    spool.seek(start)
    assert spool.read(size) == whole[start : start + size]


@pytest.mark.parametrize("answer", [b"more than asked for", bytearray(b"x"), "x", None])
def test_a_source_that_breaks_its_word_never_reaches_ffmpeg(answer):
    with pytest.raises((TypeError, ValueError)):
        BoundedReader(lambda _: answer).read(4)


@pytest.mark.parametrize("reader", [BoundedReader(lambda _: b""), SpooledFile(b"x", 1)])
def test_ffmpeg_finds_neither_a_name_nor_a_way_to_write(reader):
    assert not [name for name in ("name", "mode", "write", "writable", "close") if hasattr(reader, name)]


def test_a_stream_that_nobody_wants_any_more_leaves_no_traceback(capfd):
    """Where FFmpeg reads on after the error."""

    parts = [live(6.0, container="mp4")]

    def next_chunk():
        if not parts:
            raise Abandoned
        return parts.pop()

    fragments = Fragments(UploadReader(next_chunk, 1 << 20))
    assert fragments.next_stretch()
    with pytest.raises(Abandoned), av.open(BoundedReader(fragments.read), format="mp4") as media:
        list(media.decode(video=0))
    assert capfd.readouterr().err == ""


def test_a_reader_of_a_stream_cannot_seek():
    assert not hasattr(BoundedReader(lambda _: b""), "seek")


def test_an_upload_over_the_limit_stops_being_read():
    upload = upload_of([b"x" * 60] * 10, max_bytes=100)
    with pytest.raises(OverLimit, match="limit of 100 bytes"):
        upload.read_all()
