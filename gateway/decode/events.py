"""Events on their way from a worker to the task that reads them."""

import asyncio

from assay.frame import Frame
from gateway.decode.spec import DecodeSummary, Lost, MediaInfo

DecodeEvent = MediaInfo | Frame | Lost | DecodeSummary

_FRAMES_AHEAD = 4
"""Frames that wait for the reader before the worker has to."""


class EventQueue:
    """Each event of an upload comes out once, also where its decode began anew with another worker."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[DecodeEvent | None] = asyncio.Queue()
        self._frames_ahead = 0
        self._frames_out = 0
        self._decoded_frames = 0
        self._has_info = False

    @property
    def has_room(self) -> bool:
        """One more frame may be put."""
        return self._frames_ahead < _FRAMES_AHEAD

    def begin_anew(self) -> None:
        """The next frame is the first again."""
        self._decoded_frames = 0

    def repeats_frame(self) -> bool:
        """Counts a decoded frame; true if it was put before the decode began anew."""
        self._decoded_frames += 1
        return self._decoded_frames <= self._frames_out

    def put(self, event: DecodeEvent) -> None:
        if isinstance(event, MediaInfo) and self._has_info:
            return
        if isinstance(event, Frame):
            self._frames_ahead += 1
            self._frames_out += 1
        self._has_info = self._has_info or isinstance(event, MediaInfo)
        self._queue.put_nowait(event)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def get(self) -> DecodeEvent | None:
        """The next one; None after the last."""
        event = await self._queue.get()
        if isinstance(event, Frame):
            self._frames_ahead -= 1
        return event
