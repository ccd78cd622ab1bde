"""What the first bytes say the file is. FFmpeg never guesses: it is given the format, and has no other."""

import re
from collections.abc import Callable

import numpy as np

from assay.errors import BadMedia, InvalidRequest
from assay.magic import AVIF_BRANDS, HEIC_BRANDS, PICTURES
from gateway.decode.worker import refusals

_SNIFF_BYTES = 4096
_SEARCHED_BYTES = 64 * 1024
"""In which a stream may begin behind something else: what a tuner wrote before it was in step."""

STILL = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")
VIDEO = ("mp4", "matroska", "mpegts", "flv", "avi", "mpegps")

_MAGIC: tuple[tuple[bytes, str], ...] = (
    *PICTURES,
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"FLV\x01", "flv"),
    (b"\0\0\1\xba", "mpegps"),
)
_PS_PACK = re.compile(
    rb"\x00\x00\x01\xba(?:[\x21-\x2f].{7}|[\x44-\x7f].{9}\xff{0,7})\x00\x00\x01[\xbb-\xef]", re.DOTALL
)
"""Head of a pack of MPEG-1 or of MPEG-2, which differ in their marker bits and sizes, and the begin of what follows."""
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"styp", b"sidx", b"pnot", b"uuid")
_TS_PACKET_BYTES = (188, 192, 204)
"""As broadcast; with the 4 bytes of an arrival time in front (.m2ts, .mts); with 16 of error correction behind."""
_TS_FEW_PACKETS, _TS_MANY_PACKETS = 2, 6
"""Packets that must begin with the sync byte, up to the end of a short file: where the file begins with one of them,
and where it begins inside a packet."""


def sniff(peek: Callable[[int], bytes], is_video: bool) -> str:
    """Name of the container, one of `STILL` or `VIDEO`; `peek` shows the first so many bytes of the file.

    Raises `BadMedia` for what is not accepted and `InvalidRequest` for a picture sent as a video or the reverse.
    """
    head = peek(_SNIFF_BYTES)
    is_known = bool(refusals.known(head))
    container = None if is_known else _container(head)
    if container is None and is_video and not is_known:
        container = _found_behind(peek(_SEARCHED_BYTES))
    if container is None:
        raise BadMedia(refusals.refusal(head))
    if is_video and container in STILL:
        raise InvalidRequest(f"this is a picture ({container.upper()}), not a video; send it with the image call")
    if not is_video and container in VIDEO:
        raise InvalidRequest(f"this is a video ({container}), not a picture; send it with the video call")
    return container


def _container(head: bytes) -> str | None:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    return "mpegts" if _is_mpegts(head) else None


def _is_mpegts(head: bytes) -> bool:
    for packet_bytes in _TS_PACKET_BYTES:
        for offset in range(packet_bytes):
            if head[offset : offset + 1] != b"\x47":
                continue
            starts = head[offset::packet_bytes]
            least = _TS_FEW_PACKETS if offset in (0, packet_bytes - 188) else _TS_MANY_PACKETS
            if len(starts) >= least and set(starts[:_TS_MANY_PACKETS]) == {0x47}:
                return True
    return False


def _found_behind(head: bytes) -> str | None:
    """A stream that begins in the middle, or behind something else."""
    if _holds_mpegts(head):
        return "mpegts"
    return "mpegps" if _PS_PACK.search(head) else None


def _holds_mpegts(head: bytes) -> bool:
    """Whether packets begin anywhere, for those that `_is_mpegts` finds at once."""
    is_sync = np.frombuffer(head, np.uint8) == 0x47
    for packet_bytes in _TS_PACKET_BYTES:
        last = len(is_sync) - (_TS_MANY_PACKETS - 1) * packet_bytes
        starts = [is_sync[packet_bytes * i :][: max(last, 0)] for i in range(_TS_MANY_PACKETS)]
        if np.logical_and.reduce(starts).any():
            return True
    return False


def _by_brand(head: bytes) -> str | None:
    size = int.from_bytes(head[:4], "big")
    brands = {head[8:12]} | {head[i : i + 4] for i in range(16, min(size, len(head), 256), 4)}
    if brands.intersection(AVIF_BRANDS):
        return "avif"
    return "heic" if brands.intersection(HEIC_BRANDS) else "mp4"
