"""What a worker may compute by the clock, which stands still while it waits for us."""

import asyncio
from collections.abc import Callable


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
