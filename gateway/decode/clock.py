"""What a worker may compute by the clock, which stands still while it waits for us."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from assay.errors import OverLimit
from gateway.decode.spec import DecodeSpec, MediaInfo


class WorkClock:
    """Runs and stands still many times a second, so its alarm is set again only once the last one has rung."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """`ring` is called once the worker has computed longer than it was granted."""
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._alarm: asyncio.TimerHandle | None = None
        self._started: float | None = None
        self._granted_seconds = 0.0
        self.busy_seconds = 0.0

    def start(self, granted_seconds: float) -> None:
        """The worker computes from now on, and may have done so for `granted_seconds` in all."""
        self._started, self._granted_seconds = self._loop.time(), granted_seconds
        due = self._started + granted_seconds - self.busy_seconds
        if self._alarm is not None and self._alarm.when() > due:
            self._alarm.cancel()
            self._alarm = None
        if self._alarm is None:
            self._alarm = self._loop.call_at(due, self._look)

    def stop(self) -> None:
        """The worker waits."""
        if self._started is not None:
            self.busy_seconds += self._loop.time() - self._started
            self._started = None

    def close(self) -> None:
        """There will be no more work."""
        self._started = None
        if self._alarm is not None:
            self._alarm.cancel()

    def _look(self) -> None:
        self._alarm = None
        if self._started is None:
            return  # the next start sets it again
        due = self._started + self._granted_seconds - self.busy_seconds
        if self._loop.time() < due:
            self._alarm = self._loop.call_at(due, self._look)
        else:
            self._ring()


class WallBudget:
    """Clock time that a worker is granted for one job; it grows with the video that was shown."""

    def __init__(self, spec: DecodeSpec, on_spent: Callable[[OverLimit], None]) -> None:
        self._spec = spec
        self._on_spent = on_spent
        self._clock = WorkClock(self._spent)
        self._media_seconds = 0.0
        self._pixels = 0
        self._renewed_seconds = 0.0

    @property
    def _granted_seconds(self) -> float:
        return self._spec.limits.wall_budget_seconds(self._media_seconds, self._pixels)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The worker computes, and nothing else is waited for."""
        self._clock.start(self._granted_seconds)
        try:
            yield
        finally:
            self._clock.stop()

    def close(self) -> None:
        self._clock.close()

    def media(self, info: MediaInfo) -> None:
        """Larger frames are granted more."""
        self._pixels = min(info.width_px * info.height_px, self._spec.limits.max_video_pixels)

    def frame(self, pts_seconds: float) -> None:
        """A frame shown at this time came out. A live stream's budget begins anew every `renew_seconds`."""
        if self._spec.is_live and pts_seconds - self._renewed_seconds >= self._spec.renew_seconds:
            self._renewed_seconds, self._clock.busy_seconds = pts_seconds, 0.0
        shown = pts_seconds - self._renewed_seconds
        self._media_seconds = min(shown, self._spec.limits.max_duration_seconds)

    def _spent(self) -> None:
        granted = self._granted_seconds
        self._on_spent(
            OverLimit(
                f"decoding took more than the {granted:.3g} s granted for this file; send a shorter or smaller one",
                budget="max_wall_seconds",
            )
        )
