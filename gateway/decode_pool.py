"""The processes behind `gateway.decode`: started ahead, lent to one upload at a time, replaced when they die."""

import asyncio
import logging
from types import TracebackType
from typing import Any, Self

from assay.errors import ServiceUnavailable
from gateway import decode_wire as wire
from gateway.decode_process import SETTLE_SECONDS, DecodeWorker, NotLockedUp
from gateway.decode_spec import MIB

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class WorkerPool:
    """Keeps `workers + spares` processes ready and lends at most `workers` of them at once."""

    def __init__(
        self,
        workers: int = 2,
        spares: int = 1,
        *,
        jobs_per_worker: int = 200,
        max_idle_bytes: int = 300 * MIB,
        require_landlock: bool = False,
    ) -> None:
        if workers < 1 or spares < 0 or jobs_per_worker < 1:
            raise ValueError(f"need workers >= 1, spares >= 0, jobs_per_worker >= 1, got {workers = } {spares = }")
        self._size = workers + spares
        self._jobs_per_worker = jobs_per_worker
        self._max_idle_bytes = max_idle_bytes
        self._require_landlock = require_landlock
        self._places = asyncio.Semaphore(workers)
        self._idle: asyncio.Queue[DecodeWorker] = asyncio.Queue()
        self._alive: set[DecodeWorker] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self.is_closed = False

    async def start(self) -> None:
        """Start every process and wait for them. Raises what keeps them from starting."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(self._add())
        except* NotLockedUp as several:
            refusal = several
        else:
            self._look_for_landlock()
            return
        raise refusal.exceptions[0]

    def _look_for_landlock(self) -> None:
        """One net of four, and the only one that a kernel may lack. Raises `NotLockedUp` if it is required."""
        if all(worker.landlock_version for worker in self._alive):
            return
        if self._require_landlock:
            raise NotLockedUp(
                "this kernel has no Landlock, which GATEWAY_REQUIRE_LANDLOCK asks for; run on Linux 5.13 or later with "
                "landlock among its security modules (CONFIG_LSM), or set it to false to decode behind the other locks"
            )
        log.warning(
            "this kernel has no Landlock: decode workers are held by system call filter, user and limits alone; "
            "GATEWAY_REQUIRE_LANDLOCK=true would refuse to start"
        )

    async def close(self) -> None:
        """Kill every process, whatever it is doing, and wait until it is gone. Jobs under way fail."""
        self.is_closed = True
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        workers = list(self._alive)
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in workers))
        self._alive.clear()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def worker_pids(self) -> list[int]:
        """Processes that are running, busy or not."""
        return [worker.pid for worker in self._alive]

    async def lend(self) -> DecodeWorker:
        """A worker that is ready; waits until there is one. It must come back by `take_back`."""
        await self._places.acquire()
        try:
            while not self.is_closed:
                worker = await self._idle.get()
                if worker.is_alive:
                    return worker
                log.warning("decode worker %d died while it was idle", worker.pid)
                self._replace(worker)
            raise ServiceUnavailable("the gateway is shutting down; send the request again")
        except BaseException:
            self._places.release()
            raise

    def take_back(self, worker: DecodeWorker, conversation: asyncio.Task[Any]) -> None:
        """Return a worker whose `conversation` has ended or was cancelled a moment ago."""
        if worker.is_ready or worker.wants_bytes:
            self._chore(self._settle(worker, conversation))
        else:  # it computes, and there is no way to stop it but one
            self._replace(worker)
            self._places.release()

    async def _settle(self, worker: DecodeWorker, conversation: asyncio.Task[Any]) -> None:
        try:
            await asyncio.wait({conversation})
            if worker.wants_bytes:
                async with asyncio.timeout(SETTLE_SECONDS):
                    await worker.abandon()
        except (TimeoutError, EOFError, ConnectionError, wire.WireError) as problem:
            log.warning("decode worker %d did not settle: %r", worker.pid, problem)
        finally:
            if worker.is_ready and worker.is_alive and not self._is_worn(worker):
                self._idle.put_nowait(worker)
            else:
                self._replace(worker)
            self._places.release()

    def _is_worn(self, worker: DecodeWorker) -> bool:
        return worker.jobs >= self._jobs_per_worker or worker.resident_bytes > self._max_idle_bytes

    def _replace(self, worker: DecodeWorker) -> None:
        worker.kill()
        if not self.is_closed:
            self._chore(self._bury_and_add(worker))

    async def _bury_and_add(self, worker: DecodeWorker) -> None:
        await worker.wait()
        self._alive.discard(worker)
        while not self.is_closed:
            try:
                return await self._add()
            except (OSError, EOFError, wire.WireError, NotLockedUp):
                log.exception("a decode worker could not be started; trying again in %.0f s", _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _add(self) -> None:
        worker = await DecodeWorker.start()
        self._alive.add(worker)
        self._idle.put_nowait(worker)

    def _chore(self, work: "asyncio._CoroutineLike[None]") -> None:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
