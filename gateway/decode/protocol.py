"""Messages between the gateway and a decode worker: one length-prefixed record each, over a socket pair.

Pixels do not go this way but through memory that both sides map (`gateway.decode.slots`).

The worker reads hostile bytes, so nothing it says is trusted: no pickle, every length and every field is checked
(`gateway.decode.records`).
The worker pulls: it asks with WANT and gets exactly one CHUNK or END for it, so that the gateway always knows
whose turn it is (and whose clock runs), and both sides stay in step when a job ends early: whatever a worker says after
ABANDON, and before READY, is about a job that is over.
"""

import dataclasses
import json
import math
import struct
from enum import IntEnum
from typing import Any

from assay.errors import AssayError, OverLimit
from assay.frame import Frame
from gateway.decode.slots import FrameSlots
from gateway.decode.spec import MIB, DecodeLimits, DecodeSpec, DecodeSummary, Lost, MediaInfo, Shrink, Target

HEADER = struct.Struct(">BI")
"""Kind of message, length of its body in bytes."""
JOB = struct.Struct(">Q")
"""Bytes of a slot for frames, see `gateway.decode.slots`; then the `DecodeSpec`."""
_READY = struct.Struct(">Qd")
FRAME = struct.Struct(">dIII")
"""pts in seconds, height and width in pixels, slot that holds the height x width x 3 bytes RGB."""
MAX_CHUNK_BYTES = MIB
FRAMES_TOGETHER = 4
"""Each message wakes a process, so up to so many frames are announced at once, and so many acknowledged; less than
`SLOTS`, or both would wait for ever."""
PERMITTED = "permitted"
"""What came of an attempt to break out that nothing stopped."""
MAX_TEXT_BYTES = 64 * 1024


class Kind(IntEnum):
    """First byte of a message."""

    # to the worker
    JOB = 1
    CHUNK = 2
    END = 3
    """No more bytes: the file ends here."""
    ABANDON = 4
    """Nobody wants this job any more. May come at any time; the worker looks for it between two packets."""
    TAKEN = 5
    """The `FRAMES_TOGETHER` oldest slots that were filled are free again."""
    ESCAPE = 6
    """Try to break out of the sandbox and tell how far it went."""
    # from the worker
    READY = 16
    """It waits for a job. Its resident memory, and the processor time that it has taken since it was started."""
    WANT = 17
    INFO = 18
    FRAME = 19
    SUMMARY = 20
    ERROR = 21
    ESCAPED = 22
    LOCKED = 23
    """Once, before the first READY: the lock is on. Version of Landlock in it, 0 for a kernel without."""
    LOST = 24
    PHOTO = 25
    """As FRAME; see `gateway.decode.spec.StillPhoto`."""


class ProtocolError(Exception):
    """The other side said something that no sound worker says."""


def pack(kind: Kind, body: bytes = b"") -> bytes:
    """One whole message."""
    return HEADER.pack(kind, len(body)) + body


def ready_body(resident_bytes: int, cpu_seconds: float) -> bytes:
    return _READY.pack(resident_bytes, cpu_seconds)


def ready_from_body(body: bytes) -> tuple[int, float]:
    """Bytes and seconds. ProtocolError for nonsense."""
    try:
        resident_bytes, cpu_seconds = _READY.unpack(body)
    except struct.error:
        raise ProtocolError(f"READY of {len(body)} bytes") from None
    if not 0 <= cpu_seconds < math.inf:
        raise ProtocolError("READY after an impossible time")
    return resident_bytes, cpu_seconds


def slot_bytes(spec: DecodeSpec) -> int:
    """Bytes of the largest frame that the job can yield."""
    # A very long and narrow picture may pass max_pixels, but it is at most 200 tiles long.
    targets = (spec.target, spec.photo_target or spec.target)
    return 3 * max(max(target.max_pixels, 400 * target.factor_px**2) for target in targets)


def job_body(spec: DecodeSpec, slot_bytes: int) -> bytes:
    return JOB.pack(slot_bytes) + json.dumps(dataclasses.asdict(spec)).encode()


def job_from_body(body: bytes) -> tuple[DecodeSpec, int]:
    """Inverse of `job_body`; the gateway is trusted."""
    fields = json.loads(body[JOB.size :])
    target, photo_target, limits = (fields.pop(name) for name in ("target", "photo_target", "limits"))
    spec = DecodeSpec(
        target=_target(target),
        photo_target=_target(photo_target) if photo_target else None,
        limits=DecodeLimits(**limits),
        **fields,
    )
    return spec, JOB.unpack_from(body)[0]


def _target(fields: dict[str, Any]) -> Target:
    shrink = fields.pop("shrink_first")
    return Target(**fields, shrink_first=Shrink(**shrink) if shrink else None)


def event_message(event: MediaInfo | Lost | DecodeSummary) -> bytes:
    kinds = {MediaInfo: Kind.INFO, Lost: Kind.LOST, DecodeSummary: Kind.SUMMARY}
    return pack(kinds[type(event)], json.dumps(dataclasses.asdict(event)).encode())


def frame_message(frame: Frame, slot: int, kind: Kind = Kind.FRAME) -> bytes:
    """Says what is in the slot; the pixels are there already."""
    return pack(kind, FRAME.pack(frame.pts_seconds, frame.height_px, frame.width_px, slot))


def frame_from_body(body: bytes, slots: FrameSlots) -> Frame:
    """A frame as the worker sent it. Raises `ProtocolError` when there can be none."""
    try:
        pts_seconds, height_px, width_px, slot = FRAME.unpack(body)
        return Frame(slots.take(slot, height_px, width_px), pts_seconds)
    except (struct.error, ValueError) as problem:
        raise ProtocolError(f"frame message of {len(body)} bytes: {problem}") from problem


def escapes_body(outcomes: dict[str, str]) -> bytes:
    return json.dumps(outcomes).encode()


def error_body(error: AssayError, detail: str) -> bytes:
    """`detail` is for the gateway's log; only `error.message` may reach a client."""
    record = {"kind": type(error).__name__, "message": error.message, "field": error.field, "detail": detail[:500]}
    return json.dumps(record | ({"budget": error.budget} if isinstance(error, OverLimit) else {})).encode()
