"""Who works with a decode process now: a worker is lent to bytes that are there, and taken back from those that wait.

Two things are lent. A process, from the job's first bytes to its last: but one that waits for its client's bytes gives
way when another job could go on with it. And a turn at the processor, from one wait to the next: there are as many as
workers, so that jobs which wait for bytes, or for somebody to take their frames, keep nobody from working.
"""

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.errors import Busy, ServiceUnavailable
from gateway.decode import protocol
from gateway.decode.buffer import SpoolBudget, UploadBuffer
from gateway.decode.pool import WorkerPool
from gateway.decode.process import SETTLE_SECONDS, DecodeWorker
from gateway.decode.spec import MIB

log = logging.getLogger(__name__)

_CHEAP_BYTES = MIB
"""What has been decoded of them is decoded again at once."""
_CHEAP_PATIENCE_SECONDS = 0.1
_PATIENCE_SECONDS = 1.0
_LAST_PATIENCE_SECONDS = 2.0
"""For an upload that cannot begin anew, because it is too large to be held: it is ended."""
_MEMORY_BYTES = 256 * 1024


class Borrower(Protocol):
    """A job, as the pool sees it."""

    @property
    def is_complete(self) -> bool:
        """All bytes of its upload have arrived."""

    @property
    def waits_since(self) -> float:
        """Time of the loop from which on too little has come."""

    @property
    def decoded_bytes(self) -> int:
        """Bytes that its worker was given."""

    @property
    def can_begin_anew(self) -> bool: ...

    @property
    def gives_way(self) -> bool:
        """False: it keeps its worker until it is done, as a live stream does."""

    def interrupt(self) -> bool:
        """End its wait for bytes, so that its worker comes back. False if it does not wait any more."""


@dataclass(eq=False, slots=True)
class _WorkerRequest:
    borrower: Borrower | None
    since: float
    worker: "asyncio.Future[DecodeWorker]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def comes_late(self) -> bool:
        """Its bytes are still to come."""
        return self.borrower is not None and not self.borrower.is_complete


class LendingPool(WorkerPool):
    """A pool whose workers are lent, `workers` of them at the processor at once."""

    def __init__(
        self,
        workers: int = 2,
        spares: int = 1,
        *,
        wait_seconds: float = 30.0,
        upload_spool_bytes: int = 64 * MIB,
        spool_bytes: int = 1024 * MIB,
        **processes: Any,
    ) -> None:
        """`lend` raises Busy after `wait_seconds` without a worker.

        `upload_spool_bytes` of one upload may wait in a file, and `spool_bytes` of all.
        """
        super().__init__(workers, spares, **processes)
        self._workers = workers
        self._wait_seconds = wait_seconds
        self._upload_spool_bytes = upload_spool_bytes
        self._spool = SpoolBudget(spool_bytes)
        self._turns = asyncio.Semaphore(workers)
        self._turns_wanted = 0
        self._waiters: list[_WorkerRequest] = []
        self._pausing: dict[DecodeWorker, Borrower] = {}
        """Workers whose jobs wait for bytes."""
        self._returning: set[DecodeWorker] = set()
        self._alarm: asyncio.TimerHandle | None = None

    def buffer(self, *, can_replay: bool) -> UploadBuffer:
        """Where the bytes of one upload wait."""
        return UploadBuffer(
            self._spool, _MEMORY_BYTES if can_replay else 0, self._upload_spool_bytes if can_replay else 0
        )

    async def close(self) -> None:
        """Kill every process, whatever it is doing, and wait until it is gone. Jobs under way fail."""
        self.is_closed = True
        if self._alarm:
            self._alarm.cancel()
        for waiter in self._pending():
            waiter.worker.set_exception(_shutting_down())
        await super().close()

    async def lend(self, borrower: Borrower | None = None) -> DecodeWorker:
        """A worker that is ready. It must come back by `take_back`.

        Raises `Busy` when the wait for one is too long, `ServiceUnavailable` when the pool is closed.
        """
        if self.is_closed:
            raise _shutting_down()
        waiter = _WorkerRequest(borrower, asyncio.get_running_loop().time())
        self._waiters.append(waiter)
        self._match()
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await waiter.worker
        except BaseException as problem:
            self._withdraw(waiter)
            if isinstance(problem, TimeoutError):
                raise self._all_busy() from None
            raise

    async def escapes(self) -> dict[str, str]:
        """What a worker can do to break out, tried by the one that would take the next upload."""
        worker = await self.lend()
        try:
            return await worker.escapes()
        finally:
            self.take_back(worker)

    def _withdraw(self, waiter: _WorkerRequest) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif not waiter.worker.cancelled():  # it was lent in the moment in which nobody wanted it any more
            self._offer(waiter.worker.result())

    def _all_busy(self) -> Busy:
        return Busy(f"no decoder became free within {self._wait_seconds:g} s; try again in a moment")

    def take_back(self, worker: DecodeWorker, *, has_turn: bool = False) -> None:
        """Return a worker, whatever it is doing. Does not wait, so that a job that is cancelled can do it."""
        if self.is_closed:
            return
        if worker.is_ready and worker.is_alive:
            self._settled(worker, has_turn)
        else:
            self._returning.add(worker)
            self._chore(self._settle(worker, has_turn))

    async def _settle(self, worker: DecodeWorker, has_turn: bool) -> None:
        """Tell it that nobody wants its job any more; between two packets it listens."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await worker.abandon()
        except (TimeoutError, EOFError, ConnectionError, protocol.ProtocolError) as problem:
            log.warning("decode worker %d did not settle: %r", worker.pid, problem)
        finally:
            self._settled(worker, has_turn)

    def _settled(self, worker: DecodeWorker, has_turn: bool) -> None:
        self._returning.discard(worker)
        if has_turn:
            self.end_turn()
        if worker.is_ready and worker.is_alive and not self._is_worn(worker):
            self._offer(worker)
        else:
            self._replace(worker)
            self._match()

    async def begin_turn(self) -> None:
        """Wait for a turn at the processor, first come first served. Raises `Busy` when that takes too long."""
        self._turns_wanted += 1
        try:
            async with asyncio.timeout(self._wait_seconds if self._turns.locked() else None):
                await self._turns.acquire()
        except BaseException as problem:
            self._turns_wanted -= 1
            if isinstance(problem, TimeoutError):
                raise self._all_busy() from None
            raise

    def end_turn(self) -> None:
        """The next one's."""
        self._turns_wanted -= 1
        self._turns.release()
        self._match()

    def pauses(self, worker: DecodeWorker, borrower: Borrower) -> None:
        """The job waits for bytes: its worker may be taken back by `borrower.interrupt`."""
        self._pausing[worker] = borrower
        self._match()

    def goes_on(self, worker: DecodeWorker) -> None:
        """The job does not wait any more."""
        self._pausing.pop(worker, None)

    def _offer(self, worker: DecodeWorker) -> None:
        super()._offer(worker)
        self._match()

    def _pending(self) -> list[_WorkerRequest]:
        """Those that have neither got a worker nor been cancelled."""
        return [waiter for waiter in self._waiters if not waiter.worker.done()]

    def _match(self) -> None:
        """Give idle workers to those who wait; where there are none, see to it that there will be."""
        while (pending := self._pending()) and (worker := self._take_idle()):
            # Complete uploads first: the others would soon wait for their clients again.
            waiter = min(pending, key=lambda each: each.comes_late)
            self._waiters.remove(waiter)
            waiter.worker.set_result(worker)
        # A worker without a turn helps nobody.
        wanted = min(len(pending), self._workers - self._turns_wanted)
        while wanted > len(self._returning) + self._starting:
            if not self._make_room():
                break

    def _make_room(self) -> bool:
        """True if one more worker will come: back from who waits longest, or a new one."""
        now = asyncio.get_running_loop().time()
        pausing = sorted(self._pausing.items(), key=lambda each: each[1].waits_since + _patience_of(each[1]))
        for worker, borrower in pausing:
            if borrower.waits_since + _patience_of(borrower) > now:
                break
            if (borrower.can_begin_anew or not self._can_grow()) and borrower.interrupt():
                self._pausing.pop(worker)
                self._returning.add(worker)
                return True
        if self._can_grow() and self._is_worth_a_process(now):
            self._start_one()
            return True
        if self._alarm is None or self._alarm.when() <= now:
            self._alarm = asyncio.get_running_loop().call_later(_CHEAP_PATIENCE_SECONDS, self._match)
        return False

    def _is_worth_a_process(self, now: float) -> bool:
        """Whether to start one more, which costs as much as many pictures: not for bytes that are still to come, where
        somebody will give way in a moment."""
        if not any(each.gives_way for each in self._pausing.values()):
            return any(now - each.since >= _CHEAP_PATIENCE_SECONDS for each in self._pending())
        return any(now - each.since >= 3 * _CHEAP_PATIENCE_SECONDS for each in self._pending() if not each.comes_late)


def _patience_of(borrower: Borrower) -> float:
    """Seconds for which a job may wait for bytes before another one gets its worker."""
    if not borrower.gives_way:
        return math.inf
    if not borrower.can_begin_anew:
        return _LAST_PATIENCE_SECONDS
    return _CHEAP_PATIENCE_SECONDS if borrower.decoded_bytes <= _CHEAP_BYTES else _PATIENCE_SECONDS


def _shutting_down() -> ServiceUnavailable:
    return ServiceUnavailable("the gateway is shutting down; send the request again")


class ProcessorTurn:
    """One job's turn at the processor."""

    def __init__(self, pool: LendingPool) -> None:
        self._pool = pool
        self._is_on = False

    async def begin(self) -> None:
        await self._pool.begin_turn()
        self._is_on = True

    def end(self) -> None:
        if self.hand_over():
            self._pool.end_turn()

    def hand_over(self) -> bool:
        """Whether there was one, which somebody else ends."""
        was_on, self._is_on = self._is_on, False
        return was_on
