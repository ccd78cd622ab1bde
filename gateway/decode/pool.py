"""The processes behind the jobs: started ahead, replaced when they die, more of them while they are needed."""

import asyncio
import logging
from typing import Self

from assay.rpc import metrics
from gateway.decode import protocol
from gateway.decode.process import DecodeWorker, NotLockedUp
from gateway.decode.spec import MIB

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_REST_SECONDS = 60.0
"""After which a process goes again that was started because all others were held."""


class WorkerPool:
    """Keeps `workers + spares` processes ready, and starts up to `max_processes` when they are asked for."""

    def __init__(
        self,
        workers: int = 2,
        spares: int = 1,
        *,
        max_processes: int = 0,
        jobs_per_worker: int = 200,
        max_idle_bytes: int = 300 * MIB,
        require_landlock: bool = False,
    ) -> None:
        if workers < 1 or spares < 0 or jobs_per_worker < 1:
            raise ValueError(f"need workers >= 1, spares >= 0, jobs_per_worker >= 1, got {workers = } {spares = }")
        self._size = workers + spares
        self._max_processes = max(max_processes, self._size)
        self._jobs_per_worker = jobs_per_worker
        self._max_idle_bytes = max_idle_bytes
        self._require_landlock = require_landlock
        self._idle: list[DecodeWorker] = []
        self._alive: set[DecodeWorker] = set()
        self._dying: set[DecodeWorker] = set()
        self._starting = 0
        self._chores: set[asyncio.Task[None]] = set()
        self.is_closed = False

    async def start(self) -> None:
        """Start every process and wait for them. Raises what keeps them from starting."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(self._first())
        except* NotLockedUp as several:
            refusal = several
        else:
            self._look_for_landlock()
            return
        raise refusal.exceptions[0]

    async def _first(self) -> None:
        self._add(await DecodeWorker.start())

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
        workers = [*self._alive, *self._dying]
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

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def worker_pids(self) -> list[int]:
        """Processes that are running, busy or not."""
        return [worker.pid for worker in self._alive]

    def _offer(self, worker: DecodeWorker) -> None:
        """It is ready for its next job."""
        self._idle.append(worker)
        if len(self._alive) > self._size:
            asyncio.get_running_loop().call_later(_REST_SECONDS, self._send_home)

    def _take_idle(self) -> DecodeWorker | None:
        while self._idle:
            worker = self._idle.pop()  # the one that rested least: its memory is warm, and others may go
            if worker.is_alive:
                return worker
            log.warning("decode worker %d died while it was idle", worker.pid)
            self._replace(worker)
        return None

    def _send_home(self) -> None:
        while self._idle and len(self._alive) > self._size:
            self._bury(self._idle.pop(0))

    def _is_worn(self, worker: DecodeWorker) -> bool:
        return worker.jobs >= self._jobs_per_worker or worker.resident_bytes > self._max_idle_bytes

    def _replace(self, worker: DecodeWorker) -> None:
        metrics.RESTARTS.labels("decode_worker", "worn" if worker.is_ready and worker.is_alive else "died").inc()
        self._bury(worker)
        if len(self._alive) + self._starting < self._size:
            self._start_one()

    def _bury(self, worker: DecodeWorker) -> None:
        worker.kill()
        self._alive.discard(worker)
        self._dying.add(worker)
        if not self.is_closed:
            self._chore(self._wait_for_end(worker))

    async def _wait_for_end(self, worker: DecodeWorker) -> None:
        await worker.wait()
        self._dying.discard(worker)

    def _can_grow(self) -> bool:
        return len(self._alive) + self._starting < self._max_processes

    def _start_one(self) -> None:
        if not self.is_closed:
            self._starting += 1
            self._chore(self._keep_starting())

    async def _keep_starting(self) -> None:
        while not self.is_closed:
            try:
                worker = await DecodeWorker.start()
            except (OSError, EOFError, protocol.ProtocolError, NotLockedUp):
                log.exception("a decode worker could not be started; trying again in %.0f s", _RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._starting -= 1
                return self._add(worker)

    def _add(self, worker: DecodeWorker) -> None:
        self._alive.add(worker)
        self._offer(worker)

    def _chore(self, work: "asyncio._CoroutineLike[None]") -> None:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
