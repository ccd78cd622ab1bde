"""Events on their way from a worker to the task that reads them, and the wait of a job for whatever comes next."""

import asyncio
from collections.abc import Callable

from assay.frame import Frame
from gateway.decode.spec import DecodeSummary, Lost, MediaInfo, StillPhoto

DecodeEvent = MediaInfo | Frame | StillPhoto | Lost | DecodeSummary

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
        if isinstance(event, Frame | StillPhoto):
            self._frames_ahead += 1
            self._frames_out += 1
        self._has_info = self._has_info or isinstance(event, MediaInfo)
        self._queue.put_nowait(event)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def get(self) -> DecodeEvent | None:
        """The next one; None after the last."""
        event = await self._queue.get()
        if isinstance(event, Frame | StillPhoto):
            self._frames_ahead -= 1
        return event


class TakenBack(Exception):
    """Another job could go on with the worker, while this one waits for its client."""


class Wait:
    """One task's wait for a condition, which is checked when the others call `wake`."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once it holds. TakenBack if it was interrupted before."""
        while not condition():
            self._future = asyncio.get_running_loop().create_future()
            try:
                await self._future
            finally:
                self._future = None

    def wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def interrupt(self) -> bool:
        """False if nobody waits."""
        if self._future is None or self._future.done():
            return False
        self._future.set_exception(TakenBack())
        return True
