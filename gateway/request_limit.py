"""How many requests are answered at once; one whose client is slow to send gives its place to another."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from assay.errors import Busy
from assay.rpc import metrics
from assay.rpc.call import PRIORITIES, Priority, remaining_seconds
from assay.rpc.usage import usage_meter

_WEIGHT_OF_LAST = 0.2
_LONGEST_RETRY_SECONDS = 60.0
_PATIENCE_SECONDS = 0.1
"""For which a client may send too little before another request may have its place."""
_PROGRESS_BYTES = 16 * 1024
_MAX_TENANTS_REMEMBERED = 1024
_PLACES_PER_RESERVED = 16
"""Batch requests never hold one place in so many, and at least one: who is live need not wait for one to end."""


@dataclass(eq=False, slots=True)
class _PlaceRequest:
    place: "RequestPlace"
    turn: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RequestLimit:
    """Places for requests. Only where all are taken, and none may be taken over, somebody waits or is refused."""

    def __init__(self, max_in_flight: int, wait_seconds: float, max_queued: int = 0) -> None:
        """A request that has sent its file and has no place (any more) waits `wait_seconds` for one.

        `max_queued` more requests than there are places may send their files and wait so.
        """
        self._max_in_flight = max_in_flight
        self._max_queued = max_queued
        self._queued: set[RequestPlace] = set()
        """Let in without a place."""
        self._held_seconds = 1.0
        """How long a place is held, averaged over the last ones."""
        self._has_measured = False
        """Some place has been given back, so that this is no guess."""
        self._wait_seconds = wait_seconds
        self._held: set[RequestPlace] = set()
        self._waiters: list[_PlaceRequest] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._turns: dict[str, int] = {}
        """Number of the last place that a tenant was given; who was given one last comes last."""
        self._places_given = 0
        self._max_batch = max_in_flight - math.ceil(max_in_flight / _PLACES_PER_RESERVED) if max_in_flight > 1 else 1
        """Places that requests of the class batch may hold."""

    @property
    def taken(self) -> int:
        """Places that are held."""
        return len(self._held)

    @asynccontextmanager
    async def place(self, tenant: str = "", priority: Priority = "interactive") -> "AsyncIterator[RequestPlace]":
        """A place for as long as the block runs, or a wait in the queue once its file is there.

        `Busy` at once if all are taken by requests that are at work, and the queue is full or too slow for it.
        """
        place = RequestPlace(self, tenant, priority)
        try:
            await self.take(place, 2 * _PATIENCE_SECONDS)
        except Busy:
            if self._likely_wait_seconds(place) > self._wait_seconds:
                raise
            if len(self._queued) >= self._max_queued and not self._make_way_for(place):
                raise
            self._queued.add(place)
        try:
            yield place
        finally:
            self._queued.discard(place)
            if place in self._held:
                self._drop(place)
                self._held_seconds += _WEIGHT_OF_LAST * (place.held_seconds - self._held_seconds)
                self._has_measured = True
            self._match()

    @asynccontextmanager
    async def turn(self, tenant: str, priority: Priority) -> AsyncIterator[None]:
        """A place for work of which there is never much: a window of a live stream. It waits without being queued.

        `Busy` if there is none in time.
        """
        place = RequestPlace(self, tenant, priority)
        try:
            async with place.at_work():
                yield
        finally:
            self._drop(place)
            self._match()

    def _drop(self, place: "RequestPlace") -> None:
        if place in self._held:
            self._held.discard(place)
            metrics.PLACES.labels(place.priority).dec()

    def _make_way_for(self, newcomer: "RequestPlace") -> bool:
        """Whether a queued request is refused instead: a less urgent one, or the last of a tenant that has had more."""

        def claim(place: RequestPlace, more: int = 0) -> tuple[int, int, int]:
            of_tenant = sum(each.tenant == place.tenant for each in (*self._held, *self._queued))
            return PRIORITIES.index(place.priority), of_tenant + more, self._turns.get(place.tenant, 0)

        last = max(self._queued, key=lambda place: (claim(place), place.came_at_seconds), default=None)
        if last is None or claim(last) <= claim(newcomer, more=1):
            return False
        self._queued.discard(last)
        last.is_refused = True
        for waiter in self._waiters:
            if waiter.place is last and not waiter.turn.done():
                waiter.turn.set_exception(self._busy())
        return True

    def _likely_wait_seconds(self, newcomer: "RequestPlace") -> float:
        """Until a place is free for one who comes now, if each is held as long as the last ones were."""
        if not self._has_measured:
            return 0.0
        urgency = PRIORITIES.index(newcomer.priority)
        before = sum(PRIORITIES.index(queued.priority) <= urgency for queued in self._queued)
        # Of a full queue somebody makes way.
        rounds, place = divmod(min(before, max(0, self._max_queued - 1)), self._max_in_flight)
        left_seconds = sorted(max(0.0, self._held_seconds - held.held_seconds) for held in self._held)
        return rounds * self._held_seconds + (left_seconds[place] if place < len(left_seconds) else 0.0)

    def _busy(self) -> Busy:
        busy = Busy(f"the server is at its limit of {self._max_in_flight} requests; try again in a moment")
        busy.retry_seconds = self.retry_seconds
        return busy

    @property
    def retry_seconds(self) -> float:
        """When a place is likely to be free for one who comes now: those who wait go first."""
        waiting = len(self._queued) + 1
        return min(_LONGEST_RETRY_SECONDS, max(0.1, self._held_seconds * waiting / self._max_in_flight))

    async def take(self, place: "RequestPlace", wait_seconds: float | None = None) -> None:
        """Hold a place (again). `Busy` if none becomes free in time."""
        if place in self._held:
            return
        if place.is_refused:
            raise self._busy()
        waiter = _PlaceRequest(place)
        self._waiters.append(waiter)
        self._match()
        try:
            may_wait = wait_seconds is None or any(held.gives_way for held in self._held)
            async with asyncio.timeout((self._wait_seconds if wait_seconds is None else wait_seconds) * may_wait):
                await waiter.turn
        except BaseException as problem:
            self._drop(place)
            if isinstance(problem, TimeoutError):
                raise self._busy() from None
            raise
        finally:
            self._waiters = [each for each in self._waiters if each is not waiter]
            self._match()

    def _match(self) -> None:
        while waiter := min((each for each in self._waiters if not each.turn.done()), key=self._rank, default=None):
            if not self._has_room_for(waiter.place) and not self._make_room(waiter.place):
                break
            self._give(waiter.place)
            waiter.turn.set_result(None)

    def _give(self, place: "RequestPlace") -> None:
        self._held.add(place)
        metrics.PLACES.labels(place.priority).inc()
        self._queued.discard(place)
        self._places_given += 1
        self._turns.pop(place.tenant, None)
        self._turns[place.tenant] = self._places_given
        if len(self._turns) > _MAX_TENANTS_REMEMBERED:
            del self._turns[next(iter(self._turns))]
        place.begin()

    def _has_room_for(self, place: "RequestPlace") -> bool:
        if place.priority == "batch" and sum(held.priority == "batch" for held in self._held) >= self._max_batch:
            return False
        return len(self._held) < self._max_in_flight

    def _rank(self, waiter: _PlaceRequest) -> tuple[int, int, int, float]:
        """The lowest goes first: by class, then round robin over tenants, then the earliest deadline.

        The turn is that of the tenant that holds the fewest places, and of several that was given one longest ago.
        """
        place = waiter.place
        of_tenant = sum(held.tenant == place.tenant for held in self._held)
        turn = self._turns.get(place.tenant, 0)
        return PRIORITIES.index(place.priority), of_tenant, turn, place.deadline_seconds

    def _make_room(self, newcomer: "RequestPlace") -> bool:
        """Takes the place of a request whose client is slow, and which is not more urgent."""
        now, urgency = asyncio.get_running_loop().time(), PRIORITIES.index(newcomer.priority)
        slow_ones = (held for held in self._held if held.gives_way and PRIORITIES.index(held.priority) >= urgency)
        slow = min(slow_ones, key=lambda held: held.waits_since, default=None)
        if slow is None:
            return False
        if slow.waits_since + _PATIENCE_SECONDS <= now:
            self._drop(slow)
            return True
        if self._alarm is None or self._alarm.when() <= now:
            self._alarm = asyncio.get_running_loop().call_at(slow.waits_since + _PATIENCE_SECONDS, self._match)
        return False


class RequestPlace:
    """One request's place: it is given away while the request neither computes nor receives."""

    def __init__(self, limit: RequestLimit, tenant: str, priority: Priority) -> None:
        self._limit = limit
        self.tenant, self.priority = tenant, priority
        self.deadline_seconds = time.monotonic() + remaining_seconds()
        """By the monotonic clock; infinite if there is none."""
        self.came_at_seconds = self._begun_at = time.monotonic()
        self.is_refused = False
        """Its place in the queue was given to another."""
        self._working = 0
        self._taking = asyncio.Lock()
        self._unnoticed_bytes = 0
        self.waits_since = asyncio.get_running_loop().time()
        """Time of the loop from which on too little has come."""

    def begin(self) -> None:
        """It is held from now on."""
        self._begun_at = time.monotonic()

    @property
    def held_seconds(self) -> float:
        return time.monotonic() - self._begun_at

    @property
    def gives_way(self) -> bool:
        """Nothing of it is at work: its file has not come to its end, and nothing that has come waits for an answer."""
        return not self._working

    def received(self, size: int) -> None:
        """So many bytes have come."""
        self._unnoticed_bytes += size
        if self._unnoticed_bytes >= _PROGRESS_BYTES:
            self._unnoticed_bytes = 0
            self._rest()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Holds the place for as long as the block runs; waits for one if it was given away."""
        await self.keep()
        try:
            yield
        finally:
            self._working -= 1
            self._rest()

    async def keep(self) -> None:
        """It is not given away from now on. Raises `Busy` if it was given away and there is no other."""
        self._working += 1
        try:
            async with self._taking:
                started = time.monotonic()
                with metrics.QUEUED.labels(self.priority).track_inprogress():
                    await self._limit.take(self)
                queued = time.monotonic() - started
                usage_meter().queued_seconds += queued
                metrics.QUEUE_SECONDS.labels(self.priority).observe(queued)
        except BaseException:
            self._working -= 1
            raise

    def _rest(self) -> None:
        self.waits_since = asyncio.get_running_loop().time()
