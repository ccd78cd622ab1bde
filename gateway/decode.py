"""Bytes become frames: uploads are decoded in worker processes, and come back sampled and in the model's size.

    async with DecodePool(workers=2) as pool:
        async with pool.open(DecodeSpec(is_video=True, target=Target(56 * 56, 448 * 448))) as job:
            # one task:                     another task:
            await job.write(chunk)          async for event in job.events(): ...
            await job.end()

Nothing in this process parses a byte of the upload. A file that kills its worker fails its own request; another
worker, already running, takes the next one.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from assay.errors import AssayError, BadMedia, OverLimit, ServiceUnavailable
from assay.frame import Frame
from gateway import decode_wire as wire
from gateway.decode_clock import WorkClock
from gateway.decode_pool import WorkerPool
from gateway.decode_process import DecodeWorker
from gateway.decode_spec import DecodeLimits, DecodeSpec, DecodeSummary, Lost, MediaInfo, Target
from gateway.decode_wire import Kind

__all__ = [
    "DecodeEvent",
    "DecodeJob",
    "DecodeLimits",
    "DecodePool",
    "DecodeSpec",
    "DecodeSummary",
    "Lost",
    "MediaInfo",
    "Target",
]

log = logging.getLogger(__name__)

DecodeEvent = MediaInfo | Frame | Lost | DecodeSummary

_FRAMES_AHEAD = 4
"""Frames that wait for the reader of `events()` before the worker has to."""
_ONCE = {Kind.INFO, Kind.SUMMARY, Kind.ERROR, Kind.LOST}
"""What a worker may say once per job (LOST: once per frame), so that one that was taken over fills no memory or log."""
_BROKE_OFF = "the decoder broke off while it read this file; the file is damaged, export it again"


class DecodePool(WorkerPool):
    """Worker processes for `workers` uploads at once, and `spares` that stand by in case one dies."""

    def open(self, spec: DecodeSpec) -> "DecodeJob":
        """A job to be entered with `async with`, which waits for a free worker."""
        return DecodeJob(self, spec)

    async def escapes(self) -> dict[str, str]:
        """What a worker can do to break out, tried by the one that would take the next upload."""
        worker = await self.lend()
        attempt = asyncio.create_task(worker.escapes(), name="decode worker's attempt to escape")
        try:
            return await attempt
        finally:
            self.take_back(worker, attempt)


class DecodeJob:
    """One upload. `write` and `end` belong to one task, `events` to another; leaving early ends the work."""

    def __init__(self, pool: WorkerPool, spec: DecodeSpec) -> None:
        self._pool = pool
        self._spec = spec
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._events: asyncio.Queue[DecodeEvent | None] = asyncio.Queue()
        self._frames_ahead = asyncio.Semaphore(_FRAMES_AHEAD)
        self._failure: AssayError | None = None
        self._bytes_written = 0
        self._ended = False
        self._media_seconds = 0.0
        self._renewed_seconds = 0.0
        self._clock: WorkClock
        self._worker: DecodeWorker
        self._talk: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._worker = await self._pool.lend()
        self._clock = WorkClock(self._spent)
        self._talk = asyncio.create_task(self._run(), name="decode job")
        self._talk.add_done_callback(self._finish)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Without an await, so that a handler that is being cancelled gives its worker back all the same.
        self._talk.cancel()
        self._pool.take_back(self._worker, self._talk)

    @property
    def worker_pid(self) -> int:
        """Process that decodes this upload."""
        return self._worker.pid

    async def write(self, chunk: bytes) -> None:
        """Hand on the next bytes; waits while the worker is behind.

        Raises the job's error once there is one (`BadMedia`, `OverLimit`, `InvalidRequest`).
        """
        if self._ended:
            raise ValueError("write() after end()")
        for start in range(0, len(chunk), wire.MAX_CHUNK_BYTES):
            piece = bytes(chunk[start : start + wire.MAX_CHUNK_BYTES])
            room = self._spec.max_bytes - self._bytes_written
            self._bytes_written += len(piece)
            if len(piece) > room:
                await self._end_at_limit(piece[:room])
            await self._hand_on(piece)

    async def _end_at_limit(self, piece: bytes) -> None:
        """What fits is decoded as if the file ended there; then comes the error, to whoever writes at once."""
        too_large = f"the file is larger than the limit of {self._spec.max_bytes} bytes"
        if piece and self._spec.is_video:
            await self._hand_on(piece)
        self._failure = self._failure or OverLimit(too_large, budget="max_video_bytes")
        if self._spec.is_video:
            self._ended = True
            await self._hand_on(b"")
        self._talk.cancel()
        raise self._failure

    async def end(self) -> None:
        """There are no more bytes. Raises the job's error if there is one already."""
        if not self._ended:
            self._ended = True
            await self._hand_on(b"")

    async def events(self) -> AsyncIterator[DecodeEvent]:
        """`MediaInfo`, then `Frame`s in order of time, then one `DecodeSummary`; of a live stream also `Lost`.

        Raises the job's error after the frames that came before it.
        """
        while (event := await self._events.get()) is not None:
            if isinstance(event, Frame):
                self._frames_ahead.release()
            yield event
        if self._failure is not None:
            raise self._failure

    async def _hand_on(self, piece: bytes) -> None:
        if not self._talk.done():
            await self._chunks.put(piece)  # emptied by `_finish`, so this does not wait for ever
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: AssayError) -> None:
        self._failure = self._failure or error
        self._talk.cancel()

    async def _run(self) -> None:
        try:
            await self._converse()
        except AssayError as error:
            self._failure = self._failure or error
        except (EOFError, ConnectionError):
            self._failure = await self._obituary()
        except wire.WireError as problem:
            log.warning("decode worker %d broke the protocol: %s", self._worker.pid, problem)
            self._failure = BadMedia(_BROKE_OFF)
        except Exception:
            log.exception("the conversation with decode worker %d failed", self._worker.pid)
            self._failure = AssayError("the decoder failed; send the request again")

    def _finish(self, _: asyncio.Task[None]) -> None:
        """Release whoever waits in `write` or `events`; a callback, as a task may be cancelled before it starts."""
        self._clock.close()
        while not self._chunks.empty():
            self._chunks.get_nowait()
        self._events.put_nowait(None)

    async def _converse(self) -> None:
        """Answer the worker until it is ready for another job. Raises the error that it reports or dies of."""
        await self._worker.begin(self._spec)
        told: set[Kind] = set()
        while True:
            kind, body = await self._receive()
            if kind in told & _ONCE or (kind is Kind.FRAME and Kind.INFO not in told):
                raise wire.WireError(f"{kind.name} out of turn")
            told.add(kind)
            if kind is Kind.WANT:
                await self._worker.feed(await self._chunks.get())
            elif kind is Kind.FRAME:
                told.discard(Kind.LOST)
                frame = await self._worker.take(body)
                self._count(frame.pts_seconds)
                await self._frames_ahead.acquire()
                self._events.put_nowait(frame)
            elif kind is Kind.INFO:
                self._events.put_nowait(wire.info_from_body(body))
            elif kind is Kind.LOST:
                self._events.put_nowait(wire.lost_from_body(body))
            elif kind is Kind.SUMMARY:
                self._events.put_nowait(wire.summary_from_body(body))
            elif kind is Kind.ERROR:
                error, detail = wire.error_from_body(body)
                log.info("upload refused: %s [%s]", error.message, detail)
                self._failure = self._failure or error  # and READY follows
            elif kind is Kind.READY:
                return
            else:
                raise wire.WireError(f"unexpected {kind.name}")

    def _count(self, pts_seconds: float) -> None:
        """A frame shown at this time came out: what the worker's clock has been granted grows with it."""
        if self._spec.live and pts_seconds - self._renewed_seconds >= self._spec.renew_seconds:
            self._renewed_seconds, self._clock.busy_seconds = pts_seconds, 0.0
        shown = pts_seconds - self._renewed_seconds
        self._media_seconds = min(shown, self._spec.limits.max_duration_seconds)

    async def _receive(self) -> tuple[Kind, bytes]:
        """The worker's next message. Only here the worker computes, so only here its clock runs."""
        self._clock.start(self._spec.limits.wall_budget_seconds(self._media_seconds))
        try:
            return await self._worker.receive()
        finally:
            self._clock.stop()

    def _spent(self) -> None:
        granted = self._spec.limits.wall_budget_seconds(self._media_seconds)
        self._fail(
            OverLimit(
                f"decoding took more than the {granted:.3g} s granted for this file; send a shorter or smaller one",
                budget="max_wall_seconds",
            )
        )

    async def _obituary(self) -> AssayError:
        """What to say about a worker that has died."""
        status = await self._worker.wait()
        if self._pool.is_closed:
            return ServiceUnavailable("the gateway is shutting down; send the request again")
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        log.warning("decode worker %d died of %s after %d bytes", self._worker.pid, name, self._bytes_written)
        if status == -signal.SIGXCPU:
            limits = self._spec.limits
            granted = limits.cpu_budget_seconds(self._spec.granted_media_seconds)
            spent = f"decoding took more than the {granted:.0f} s of processor time granted"
            return OverLimit(f"{spent}; send a shorter or smaller file", budget="max_cpu_seconds")
        return BadMedia(_BROKE_OFF)
