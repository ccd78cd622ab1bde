"""A live stream to a server, a judged window at a time from it."""

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass

from assay.client.judgement import Window, window_from_wire
from assay.client.upload import Source, pieces
from assay.errors import InvalidRequest
from assay.frame import Frame
from assay.v1 import assay_pb2, live_pb2

LiveSource = Source | AsyncIterable[bytes] | AsyncIterable[Frame]
"""Bytes of MPEG-TS, fragmented MP4, Matroska, WebM or FLV: from a file, a pipe, or as they come; or decoded frames."""

Request = live_pb2.ScoreLiveRequest
_PIXELS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LiveWindow:
    """What is said of one window of a live stream."""

    index: int
    """Counted from 0 over every window of the stream, those that were left out included."""
    window: Window
    """Times count from the first frame of the stream and only rise."""
    dropped_windows: int
    """Left out since the result before this one, because the model was slower than the stream."""
    dropped_frames: int
    """Sampled frames of those windows."""
    damaged_frames: int
    """Came damaged since the result before this one, and were not scored."""
    clock_jumps: int
    """How often the stream's clock jumped since the result before this one."""
    lag_seconds: float
    """From the window's last frame leaving the decoder to this result."""


def live_config(
    config: assay_pb2.ScoreConfig, window_seconds: float, hop_seconds: float, waits: bool
) -> live_pb2.LiveConfig:
    """InvalidRequest names a length that cannot be meant; 0 leaves one to the server."""
    lateness = live_pb2.LATENESS_WAIT if waits else live_pb2.LATENESS_DROP_OLDEST
    wanted = live_pb2.LiveConfig(config=config, lateness=lateness)
    for name, seconds, most in (("window", window_seconds, 60), ("hop", hop_seconds, 3600)):
        if seconds and not 0.5 <= seconds <= most:
            raise InvalidRequest(f"a {name} has 0.5 to {most} s, got {seconds:g}", field=f"config.{name}")
        if seconds:
            getattr(wanted, name).FromNanoseconds(round(seconds * 1e9))
    return wanted


async def live_requests(source: LiveSource, config: live_pb2.LiveConfig) -> AsyncGenerator[Request, None]:
    """What is sent: the config, then the source as it comes."""
    yield Request(config=config)
    parts = source if isinstance(source, AsyncIterable) else pieces(source)
    async for part in parts:
        if isinstance(part, Frame):
            head = live_pb2.LiveFrame(pts_seconds=part.pts_seconds, height_px=part.height_px, width_px=part.width_px)
            yield Request(frame=head)
            pixels = part.pixels.tobytes()
            for start in range(0, len(pixels), _PIXELS_BYTES):
                yield Request(pixels=pixels[start : start + _PIXELS_BYTES])
        else:
            for start in range(0, len(part), _PIXELS_BYTES):
                yield Request(chunk=bytes(part[start : start + _PIXELS_BYTES]))


def live_window(message: live_pb2.LiveWindow) -> LiveWindow:
    """ValueError if an attribute or grade is not one of the schema."""
    return LiveWindow(
        index=message.window.window_index,
        window=window_from_wire(message.window),
        dropped_windows=message.dropped_windows,
        dropped_frames=message.dropped_frames,
        damaged_frames=message.damaged_frames,
        clock_jumps=message.clock_jumps,
        lag_seconds=message.lag.ToNanoseconds() / 1e9,
    )
