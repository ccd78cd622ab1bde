"""The processes behind `gateway.decode`: started ahead, lent to one upload at a time, replaced when they die."""

import asyncio
import logging
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from assay.errors import ServiceUnavailable
from assay.frame import Frame
from gateway import decode_wire as wire
from gateway.decode_slots import FrameSlots
from gateway.decode_spec import MIB, DecodeSpec
from gateway.decode_wire import PERMITTED, Kind

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 60.0
_SETTLE_SECONDS = 2.0
_RETRY_SECONDS = 1.0
_ENVIRONMENT = {
    # The worker gets nothing of the gateway's environment: there may be secrets in it.
    "PYTHONPATH": str(_ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    # numpy's BLAS would start a thread per core and reserve memory for each; pictures need none of it.
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


class NotLockedUp(Exception):
    """The sandbox does not hold on this machine; no file of a stranger may be decoded here."""


class DecodeWorker:
    """One process and this end of its socket."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        slots: FrameSlots,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._slots = slots
        self.jobs = 0
        self.resident_bytes = 0
        self.is_ready = False
        """It waits for a job."""
        self.wants_bytes = False
        """It waits for a chunk of the present job."""

    @classmethod
    async def start(cls) -> Self:
        """Spawn (never fork: a copy of this process would inherit its threads' locks) and wait until it is ready.

        Raises `NotLockedUp` if it could break out of its sandbox.
        """
        ours, theirs = socket.socketpair()
        slots = FrameSlots.create()
        with theirs:
            handed = (theirs.fileno(), slots.fd)
            command = (sys.executable, "-P", "-X", "faulthandler", "-m", "gateway.decode_worker", *map(str, handed))
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=handed,
                env=_ENVIRONMENT,
            )
        worker = cls(process, *await asyncio.open_connection(sock=ours, limit=MIB), slots)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker.until_ready()
                await worker.escapes()
        except BaseException:
            worker.kill()
            await worker.wait()
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and not self._reader.at_eof()

    async def begin(self, spec: DecodeSpec) -> None:
        """Give it a job. Raises `ConnectionError` if it has died or was killed."""
        if self._writer.is_closing():
            raise ConnectionError("the decode worker was killed before its job")
        self.is_ready = False
        self.jobs += 1
        self._slots.grow(wire.slot_bytes(spec))
        await self._send(Kind.JOB, wire.job_body(spec, self._slots.slot_bytes))

    async def feed(self, chunk: bytes) -> None:
        """Answer its WANT; b"" ends the file."""
        self.wants_bytes = False
        await self._send(Kind.CHUNK if chunk else Kind.END, chunk)

    async def receive(self) -> tuple[Kind, bytes]:
        """Its next message. Raises `EOFError` or `ConnectionError` if it has died, `WireError` if it talks nonsense."""
        number, size = wire.HEADER.unpack(await self._reader.readexactly(wire.HEADER.size))
        try:
            kind = Kind(number)
        except ValueError:
            raise wire.WireError(f"message of unknown kind {number}") from None
        if size > wire.MAX_TEXT_BYTES:
            raise wire.WireError(f"{kind.name} of {size} bytes")
        body = await self._reader.readexactly(size)
        self.wants_bytes = kind is Kind.WANT
        if kind is Kind.READY:
            self.is_ready, self.resident_bytes = True, int.from_bytes(body, "big")
        return kind, body

    async def take(self, body: bytes) -> Frame:
        """The frame that a FRAME message tells of; its slot is free again."""
        frame = wire.frame_from_body(body, self._slots)
        await self._send(Kind.TAKEN, b"")
        return frame

    async def escapes(self) -> dict[str, str]:
        """Let it try to break out while it is ready: name of each attempt -> what stopped it.

        Raises `NotLockedUp` if nothing stopped one of them.
        """
        self.is_ready = False
        await self._send(Kind.ESCAPE, b"")
        kind, body = await self.receive()
        outcomes = wire.escapes_from_body(body) if kind is Kind.ESCAPED else {}
        await self.until_ready()
        escaped = [name for name, outcome in outcomes.items() if outcome == PERMITTED]
        if escaped or not outcomes:
            raise NotLockedUp(
                f"a decode worker can {', '.join(escaped) or 'not say whether it is locked up'}; it needs a kernel "
                "with seccomp filters (CONFIG_SECCOMP_FILTER)"
            )
        return outcomes

    async def until_ready(self) -> None:
        """Read on to the next READY."""
        while not self.is_ready:
            await self.receive()

    async def abandon(self) -> None:
        """Tell it, while it waits for bytes, that none will come, and wait until it is ready again."""
        self.wants_bytes = False
        await self._send(Kind.ABANDON, b"")
        await self.until_ready()

    async def wait(self) -> int:
        """Make sure that it is gone and return its exit status, negative for a signal."""
        try:
            async with asyncio.timeout(_SETTLE_SECONDS):
                return await self._process.wait()
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        """At once; the exit status is collected by asyncio's child watcher."""
        self._writer.close()
        self._slots.close()
        if self._process.returncode is None:
            try:
                self._process.kill()
            except ProcessLookupError:
                log.debug("decode worker %d had already gone", self.pid)

    async def _send(self, kind: Kind, body: bytes) -> None:
        self._writer.write(wire.pack(kind, body))
        await self._writer.drain()


class WorkerPool:
    """Keeps `workers + spares` processes ready and lends at most `workers` of them at once."""

    def __init__(
        self, workers: int = 2, spares: int = 1, *, jobs_per_worker: int = 200, max_idle_bytes: int = 300 * MIB
    ) -> None:
        if workers < 1 or spares < 0 or jobs_per_worker < 1:
            raise ValueError(f"need workers >= 1, spares >= 0, jobs_per_worker >= 1, got {workers = } {spares = }")
        self._size = workers + spares
        self._jobs_per_worker = jobs_per_worker
        self._max_idle_bytes = max_idle_bytes
        self._places = asyncio.Semaphore(workers)
        self._idle: asyncio.Queue[DecodeWorker] = asyncio.Queue()
        self._alive: set[DecodeWorker] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self.is_closed = False

    async def start(self) -> None:
        """Start every process and wait for them. Raises what keeps them from starting."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._size):
                group.create_task(self._add())

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
                async with asyncio.timeout(_SETTLE_SECONDS):
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
