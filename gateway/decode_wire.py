"""Messages between the gateway and a decode worker: one length-prefixed record each, over a socket pair.

The worker reads hostile bytes, so nothing it says is trusted: no pickle, every length and every field is checked.
The worker pulls: it asks with WANT and gets exactly one CHUNK or END for it, so that the gateway always knows
whose turn it is (and whose clock runs), and both sides stay in step when a job ends early.
"""

import dataclasses
import json
import struct
from enum import IntEnum
from typing import Any

import numpy as np

from assay import errors
from assay.errors import AssayError, BadMedia, InvalidRequest, OverLimit
from assay.frame import Frame
from gateway.decode_spec import MIB, DecodeLimits, DecodeSpec, DecodeSummary, MediaInfo, Shrink, Target

HEADER = struct.Struct(">BI")
"""Kind of message, length of its body in bytes."""
FRAME = struct.Struct(">dII")
"""pts in seconds, height and width in pixels; then height x width x 3 bytes RGB."""
MAX_CHUNK_BYTES = MIB
MAX_TEXT_BYTES = 64 * 1024


class Kind(IntEnum):
    """First byte of a message."""

    # to the worker
    JOB = 1
    CHUNK = 2
    END = 3
    """No more bytes: the file ends here."""
    ABANDON = 4
    """Nobody wants this job any more."""
    # from the worker
    READY = 16
    WANT = 17
    INFO = 18
    FRAME = 19
    SUMMARY = 20
    ERROR = 21


class WireError(Exception):
    """The other side said something that no sound worker says."""


def pack(kind: Kind, body: bytes = b"") -> bytes:
    """One whole message."""
    return HEADER.pack(kind, len(body)) + body


def job_body(spec: DecodeSpec) -> bytes:
    return json.dumps(dataclasses.asdict(spec)).encode()


def spec_from_body(body: bytes) -> DecodeSpec:
    """Inverse of `job_body`; the gateway is trusted."""
    fields = json.loads(body)
    shrink = fields["target"].pop("shrink_first")
    return DecodeSpec(
        is_video=fields["is_video"],
        target=Target(**fields["target"], shrink_first=Shrink(**shrink) if shrink else None),
        frames_per_second=fields["frames_per_second"],
        limits=DecodeLimits(**fields["limits"]),
    )


def event_parts(event: MediaInfo | DecodeSummary | Frame) -> tuple[bytes, memoryview | bytes]:
    """Header and body of an event's message, apart so that pixels are not copied."""
    if isinstance(event, Frame):
        pixels = event.pixels.data.cast("B")
        head = FRAME.pack(event.pts_seconds, event.height_px, event.width_px)
        return HEADER.pack(Kind.FRAME, FRAME.size + len(pixels)) + head, pixels
    body = json.dumps(dataclasses.asdict(event)).encode()
    kind = Kind.INFO if isinstance(event, MediaInfo) else Kind.SUMMARY
    return HEADER.pack(kind, len(body)), body


def frame_from_body(body: bytes) -> Frame:
    """A frame as the worker sent it. Raises `WireError` when the sizes do not agree."""
    try:
        pts_seconds, height_px, width_px = FRAME.unpack_from(body)
        pixels = np.frombuffer(body, np.uint8, offset=FRAME.size).reshape(height_px, width_px, 3)
        return Frame(pixels, pts_seconds)
    except (struct.error, ValueError) as problem:
        raise WireError(f"frame of {len(body)} bytes: {problem}") from problem


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise WireError(f"expected a short text, got {type(value)}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        raise WireError(f"expected a number from 0 to 1e12, got {type(value)}")
    return value


def _record(body: bytes) -> dict[str, Any]:
    try:
        record = json.loads(body)
    except ValueError as problem:
        raise WireError("body is not JSON") from problem
    if not isinstance(record, dict):
        raise WireError("body is not a JSON object")
    return record


def info_from_body(body: bytes) -> MediaInfo:
    r = _record(body)
    width, height = int(_number(r.get("width_px"))), int(_number(r.get("height_px")))
    return MediaInfo(r.get("is_video") is True, _text(r.get("container")), _text(r.get("codec")), width, height)


def summary_from_body(body: bytes) -> DecodeSummary:
    r = _record(body)
    decoded, corrupt, sampled = (int(_number(r.get(f"frames_{name}"))) for name in ("decoded", "corrupt", "sampled"))
    warnings = r.get("warnings")
    if not isinstance(warnings, list) or len(warnings) > 20:
        raise WireError("warnings must be a short list")
    texts = tuple(_text(warning) for warning in warnings)
    return DecodeSummary(_number(r.get("duration_seconds")), decoded, corrupt, sampled, texts)


def error_body(error: AssayError, detail: str) -> bytes:
    """`detail` is for the gateway's log; only `error.message` may reach a client."""
    record = {"kind": type(error).__name__, "message": error.message, "field": error.field, "detail": detail[:500]}
    return json.dumps(record).encode()


def error_from_body(body: bytes) -> tuple[AssayError, str]:
    """The error and the detail for the log. A worker can only name the three kinds that a file can cause."""
    r = _record(body)
    kinds: dict[str, type[errors.AssayError]] = {k.__name__: k for k in (BadMedia, OverLimit, InvalidRequest)}
    kind = kinds.get(_text(r.get("kind")))
    if kind is None:
        raise WireError("unknown kind of error")
    return kind(_text(r.get("message")), field=_text(r.get("field"))), _text(r.get("detail"))
