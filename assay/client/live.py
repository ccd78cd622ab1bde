"""A live stream to a server, a judged window at a time from it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc

from assay.client.failure import failure, gone, read_to_end
from assay.client.judgement import Window, window_from_wire
from assay.client.upload import Source, pieces
from assay.errors import InvalidRequest, ServiceUnavailable
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


async def live_windows(
    call: Any, server: str, quiet_seconds: float, source: LiveSource, config: live_pb2.LiveConfig
) -> AsyncGenerator[LiveWindow, None]:
    """The windows in order of time, until the source ends. Closing the generator ends the stream."""
    sending = asyncio.create_task(_send(call, source, config))
    try:
        async for event in _events(call, server, quiet_seconds, sending):
            if event.HasField("window"):
                yield _window(event.window)
    finally:
        call.cancel()
        sending.cancel()
        # It holds the source, and must have let go of it before that is closed.
        await asyncio.wait([sending])


async def _events(
    call: Any, server: str, quiet_seconds: float, sending: "asyncio.Task[None]"
) -> AsyncIterator[live_pb2.LiveEvent]:
    """Everything in front of `ended`. Raises what the call failed with, or what the source did."""
    has_begun = False
    while True:
        try:
            # Before the first event the stream may have nothing to show yet. Not wait_for: in Python 3.11 it swallows a
            # cancellation that arrives together with the response.
            async with asyncio.timeout(quiet_seconds if has_begun else None):
                response = await call.read()
        except TimeoutError:
            raise gone(server) from None
        except grpc.aio.AioRpcError as error:
            raise failure(error, server, quiet_seconds, has_begun) from error
        except asyncio.CancelledError:
            # The source failed, and its task cancelled the call.
            if sending.done() and not sending.cancelled() and (reason := sending.exception()):
                raise reason from None
            raise
        if response is grpc.aio.EOF:
            raise ServiceUnavailable(
                f"the server at {server} closed the stream without a final message; start it again"
            )
        has_begun = True
        for event in response.events:
            if event.HasField("ended"):
                await read_to_end(call)
                return
            yield event


async def _send(call: Any, source: LiveSource, config: live_pb2.LiveConfig) -> None:
    try:
        await call.write(Request(config=config))
        await call.initial_metadata()  # the server has admitted the stream, or has ended it
        async with aclosing(_requests(source)) as requests:
            async for request in requests:
                await call.write(request)
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        # The call has ended before all was sent; its reader gets the reason.
        return
    except Exception:
        call.cancel()
        raise


async def _requests(source: LiveSource) -> AsyncGenerator[Request, None]:
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


def _window(message: live_pb2.LiveWindow) -> LiveWindow:
    return LiveWindow(
        index=message.window.window_index,
        window=window_from_wire(message.window),
        dropped_windows=message.dropped_windows,
        dropped_frames=message.dropped_frames,
        damaged_frames=message.damaged_frames,
        clock_jumps=message.clock_jumps,
        lag_seconds=message.lag.ToNanoseconds() / 1e9,
    )
