"""Upload: a path, bytes or an open file as chunks; an address is sent as it is."""

import asyncio
import io
import os
import re
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import IO, Any

from assay.errors import BadMedia

CHUNK_BYTES = 256 * 1024

Source = str | os.PathLike[str] | bytes | IO[bytes]
"""A path, the bytes of a file, a file opened for reading bytes, or an address that the server gets (https://…)."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_uri(source: Source) -> bool:
    """Whether it says where a file is that the server can get itself, such as https://… or s3://…."""
    return isinstance(source, str) and _URI.match(source) is not None


def can_be_read_again(source: Source) -> bool:
    """False for an open file: it may be a pipe."""
    return isinstance(source, str | os.PathLike | bytes)


async def chunks(source: Source) -> AsyncGenerator[bytes, None]:
    """The bytes in pieces of at most 256 KiB, at least one piece.

    OSError if the file cannot be opened or read, BadMedia if it is empty.
    """
    with _opened(source) as file:
        is_empty = True
        while chunk := await _next(file):
            is_empty = False
            yield chunk
        if is_empty:
            raise BadMedia("the file is empty; send a picture or a video")


async def _next(file: IO[bytes]) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.read(CHUNK_BYTES)
    # A read from a pipe or a network disk may take long; the events of other calls must not wait for it.
    return await asyncio.to_thread(file.read, CHUNK_BYTES)


def _opened(source: Source) -> Any:
    match source:
        case bytes():
            return io.BytesIO(source)
        case str() | os.PathLike():
            return open(source, "rb")
        case _:
            return nullcontext(source)


async def pieces(source: Source) -> AsyncGenerator[bytes, None]:
    """The bytes as soon as they are there, for a stream that goes on: of a pipe, whatever it holds.

    OSError if the file cannot be opened or read.
    """
    with _opened(source) as file:
        read = getattr(file, "read1", file.read)
        while chunk := await asyncio.to_thread(read, CHUNK_BYTES):
            yield chunk
