"""Bytes of a call -> messages, each at most 4 MiB, whatever a stranger sends.

gRPC itself would end a call whose bytes are no message with UNKNOWN and two stack traces in the log, one whose message
is too large with a status that says nothing more, and it unpacks a compressed message of kilobytes into gigabytes. So
it is set to let these through (`assay.rpc.options.SERVER`), and they are refused here.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message

from assay.errors import AssayError, InvalidRequest, OverLimit

MAX_MESSAGE_BYTES = 4 << 20
"""Largest request message, unpacked; as large as gRPC's own default."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What came in place of a message."""

    error: AssayError
    size_bytes: int

    def ByteSize(self) -> int:  # noqa: N802 as messages have it
        return self.size_bytes


def reader(parse: Callable[[bytes], Message]) -> Callable[[bytes], Message | Unreadable]:
    """A deserializer for gRPC that never raises."""

    def read(data: bytes) -> Message | Unreadable:
        try:
            return parse(_unpacked(data))
        except DecodeError:
            return Unreadable(
                InvalidRequest("what came is no message of this method; check the .proto files"), len(data)
            )
        except AssayError as refused:
            return Unreadable(refused, len(data))

    return read


def _unpacked(data: bytes) -> bytes:
    """The message's bytes. OverLimit if they are too many, packed or unpacked."""
    # Neither of gRPC's compressions begins with what could begin one of our messages: a group's end, or field 15.
    if data.startswith((b"\x1f\x8b", b"\x78")):
        data = _inflated(data)
    if len(data) > MAX_MESSAGE_BYTES:
        raise OverLimit(
            f"a message has at most {MAX_MESSAGE_BYTES} bytes; send a file in chunks (StreamImage, StreamVideo)"
        )
    return data


def _inflated(data: bytes) -> bytes:
    """At most a byte more than a message may have; the bytes as they are if they are not compressed."""
    inflating = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        inflated = inflating.decompress(data, MAX_MESSAGE_BYTES + 1)
    except zlib.error:
        return data
    return inflated if inflating.eof or len(inflated) > MAX_MESSAGE_BYTES else data
