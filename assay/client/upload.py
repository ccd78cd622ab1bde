"""Upload: a path, bytes or an open file as chunks, and the question whether they are a picture."""

import asyncio
import io
import os
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import IO, Any

from assay.errors import BadMedia

CHUNK_BYTES = 256 * 1024

Source = str | os.PathLike[str] | bytes | IO[bytes]
"""A path, the bytes of a file, or a file opened for reading bytes."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
# Brands of ISO files that hold pictures; all other brands (isom, mp42, qt, …) are videos.
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def is_picture(head: bytes) -> bool:
    """Whether the first 12 bytes are those of JPEG, PNG, GIF, WebP, BMP, TIFF, AVIF or HEIC. The name plays no part."""
    if head.startswith(_MAGIC):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS


def can_be_read_again(source: Source) -> bool:
    """False for an open file: it may be a pipe."""
    return isinstance(source, str | os.PathLike | bytes)


async def chunks(source: Source) -> AsyncGenerator[bytes, None]:
    """The bytes in pieces of at most 256 KiB, at least one piece.

    OSError if the file cannot be opened or read, BadMedia if it is empty.
    """
    with _opened(source) as file:
        is_empty = True
        # A read from a pipe or a network disk may take long; the events of other calls must not wait for it.
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            is_empty = False
            yield chunk
        if is_empty:
            raise BadMedia("the file is empty; send a picture or a video")


def _opened(source: Source) -> Any:
    match source:
        case bytes():
            return io.BytesIO(source)
        case str() | os.PathLike():
            return open(source, "rb")
        case _:
            return nullcontext(source)
