"""One decode worker: a process of its own, and this end of its socket."""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Self

from assay.errors import AssayError, BadMedia, OverLimit
from assay.frame import Frame
from assay.rpc import metrics
from assay.rpc.call import request_id
from gateway.decode import protocol
from gateway.decode.protocol import PERMITTED, Kind
from gateway.decode.records import record_of
from gateway.decode.slots import FrameSlots
from gateway.decode.spec import MIB, DecodeSpec

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60.0
BROKE_OFF = "the decoder broke off while it read this file; the file is damaged, export it again"
SETTLE_SECONDS = 2.0
"""From asking a worker to stop until it is killed."""
_LINE_BYTES = 4096
_MAX_LINES = 64
"""Of a worker's standard error that are logged for each job."""
_ENVIRONMENT = {
    # The worker gets nothing of the gateway's environment: there may be secrets in it.
    "PYTHONPATH": str(_ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    # numpy's BLAS would start a thread per core and reserve memory for each; pictures need none of it.
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    # A decoder's pictures stay in the heap for the next upload's; to ask the kernel for them anew took 20 ms of
    # processor time for every upload of 1080p.
    "MALLOC_MMAP_THRESHOLD_": str(32 * MIB),
    "MALLOC_TRIM_THRESHOLD_": str(64 * MIB),
}


class NotLockedUp(AssayError):
    """The sandbox does not hold on this machine; no file of a stranger may be decoded here."""

    # Never sent to a client: but a name of its own, or errors that are rebuilt from theirs could become this one.
    reason = "NOT_LOCKED_UP"


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
        self._frames_taken = 0
        self._request_id, self._is_at_job, self._cpu_seconds = "", False, 0.0
        self._lines_left = _MAX_LINES
        assert process.stderr is not None
        self._logging = asyncio.create_task(self._log_stderr(process.stderr))
        self.jobs = 0
        self.resident_bytes = 0
        self.landlock_version = 0
        """0: its kernel has no Landlock."""
        self.is_ready = False
        """It waits for a job."""
        self._head = b""
        """Of a message whose body has not been read: the task that waited for it was cancelled."""

    @classmethod
    async def start(cls) -> Self:
        """Spawn (never fork: a copy of this process would inherit its threads' locks) and wait until it is ready.

        Raises `NotLockedUp` if it could break out of its sandbox.
        """
        ours, theirs = socket.socketpair()
        # A client's chunk of 256 KiB goes in one piece; by default a socket holds 208 KiB, and it took two.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
        slots = FrameSlots.create()
        with theirs:
            handed = (theirs.fileno(), slots.fd)
            command = (sys.executable, "-P", "-X", "faulthandler", "-m", "gateway.decode.worker", *map(str, handed))
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
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
        self._frames_taken, self._lines_left = 0, _MAX_LINES
        self._request_id, self._is_at_job = request_id.get(), True
        self.jobs += 1
        self._slots.grow(protocol.slot_bytes(spec))
        await self._send(Kind.JOB, protocol.job_body(spec, self._slots.slot_bytes))

    async def feed(self, chunk: bytes) -> None:
        """Answer its WANT; b"" ends the file."""
        await self._send(Kind.CHUNK if chunk else Kind.END, chunk)

    async def receive(self) -> tuple[Kind, bytes]:
        """Its next message. Raises `EOFError` or `ConnectionError` if it has died, `ProtocolError` for nonsense."""
        self._head = self._head or await self._reader.readexactly(protocol.HEADER.size)
        number, size = protocol.HEADER.unpack(self._head)
        try:
            kind = Kind(number)
        except ValueError:
            raise protocol.ProtocolError(f"message of unknown kind {number}") from None
        if size > protocol.MAX_TEXT_BYTES:
            raise protocol.ProtocolError(f"{kind.name} of {size} bytes")
        body = await self._reader.readexactly(size)
        self._head = b""
        if kind is Kind.READY:
            self._end_job(*protocol.ready_from_body(body))
        elif kind is Kind.LOCKED:
            self.landlock_version = int.from_bytes(body, "big")
        return kind, body

    def _end_job(self, resident_bytes: int, cpu_seconds: float) -> None:
        """It is ready for one; what it did before, its start and its attempts to escape, is nobody's."""
        spent_seconds, self._cpu_seconds = max(0.0, cpu_seconds - self._cpu_seconds), cpu_seconds
        self.is_ready, self.resident_bytes = True, resident_bytes
        if self._is_at_job:
            self._is_at_job = False
            metrics.DECODE_CPU_SECONDS.inc(spent_seconds)
            facts = {"cpu_seconds": round(spent_seconds, 4), "frames": self._frames_taken}
            log.info("decode job ended", extra=self._facts(**facts))

    def _facts(self, **more: float) -> dict[str, object]:
        """Of a log line on behalf of the worker, which can open no log of its own."""
        return {"facts": {"program": "decode_worker", "pid": self.pid, "request_id": self._request_id, **more}}

    async def _log_stderr(self, written: asyncio.StreamReader) -> None:
        """What it prints, mostly where it crashed; no more than a few lines a job, as a hostile file may write them."""
        while said := await written.read(_LINE_BYTES):
            for line in said.decode(errors="replace").splitlines():
                self._lines_left -= 1
                if self._lines_left >= 0:
                    log.warning("%s", line, extra=self._facts())

    async def take(self, body: bytes) -> Frame:
        """The frame that a FRAME message tells of; its slot will be free again."""
        frame = protocol.frame_from_body(body, self._slots)
        self._frames_taken += 1
        if self._frames_taken % protocol.FRAMES_TOGETHER == 0:
            await self._send(Kind.TAKEN, b"")
        return frame

    async def escapes(self) -> dict[str, str]:
        """Let it try to break out while it is ready: name of each attempt -> what stopped it.

        Raises `NotLockedUp` if nothing stopped one of them.
        """
        self.is_ready = False
        await self._send(Kind.ESCAPE, b"")
        kind, body = await self.receive()
        outcomes = record_of(kind, body) if kind is Kind.ESCAPED else {}
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
        """Tell it that nobody wants its job any more, and wait until it is ready again."""
        await self._send(Kind.ABANDON, b"")
        await self.until_ready()

    async def wait(self) -> int:
        """Make sure that it is gone and return its exit status, negative for a signal."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
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

    def obituary(self, status: int, spec: DecodeSpec, decoded_bytes: int) -> AssayError:
        """What the client gets to know about an end with this status, negative if by a signal; logs the rest."""
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        log.warning("decode worker %d died of %s after %d bytes", self.pid, name, decoded_bytes)
        if status == -signal.SIGXCPU:
            granted = spec.limits.cpu_budget_seconds(spec.granted_media_seconds)
            spent = f"decoding took more than the {granted:.0f} s of processor time granted"
            return OverLimit(f"{spent}; send a shorter or smaller file", budget="max_cpu_seconds")
        return BadMedia(BROKE_OFF)

    async def _send(self, kind: Kind, body: bytes) -> None:
        self._writer.write(protocol.pack(kind, body))
        await self._writer.drain()
