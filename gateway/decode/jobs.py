"""Bytes become frames: uploads are decoded in worker processes, and come back sampled and in the model's size.

    async with DecodePool(workers=2) as pool:
        async with pool.open(DecodeSpec(is_video=True, target=Target(56 * 56, 448 * 448))) as job:
            # one task:                     another task:
            await job.write(chunk)          async for event in job.events(): ...
            await job.end()

Nothing in this process parses a byte of the upload. A file that kills its worker fails its own request; another
worker, already running, takes the next one. A job has a worker while there are bytes to work on: one that is taken back
while the client is slow begins anew with another, and what was handed out before is not handed out again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Self

from assay.errors import AssayError, BadMedia, OverLimit, ServiceUnavailable, UploadStalled
from assay.frame import Frame
from assay.rpc.tracing import begin_span
from assay.rpc.usage import usage_meter
from gateway.decode import protocol
from gateway.decode.clock import WallBudget
from gateway.decode.events import DecodeEvent, EventQueue, TakenBack, Wait
from gateway.decode.lending import LendingPool, ProcessorTurn
from gateway.decode.process import BROKE_OFF, DecodeWorker
from gateway.decode.protocol import Kind
from gateway.decode.records import record_of
from gateway.decode.spec import DecodeSource, DecodeSpec, StillPhoto

log = logging.getLogger(__name__)

_ONCE = {Kind.INFO, Kind.SUMMARY, Kind.ERROR, Kind.LOST}
_PIXELS = {Kind.FRAME, Kind.PHOTO}
"""What a worker may say once per job (LOST: once per frame), so that one that was taken over fills no memory or log."""
_FIRST_BYTES = 4096
"""Enough to recognise the file; with fewer no worker is asked for."""
_SLICE_BYTES = protocol.MAX_CHUNK_BYTES
"""What a worker is given for one turn at the processor, and has not read yet before the writer has to wait."""
_PROGRESS_BYTES = 16 * 1024
"""With fewer a client that is slow does not count as one that sends."""


class DecodePool(LendingPool):
    """Worker processes: `workers` of them compute at once, and `spares` stand by in case one dies."""

    def open(self, spec: DecodeSpec) -> "DecodeJob":
        """A job to be entered with `async with`; it asks for a worker when there is something to do for one."""
        return DecodeJob(self, spec)


class DecodeJob:
    """One upload. `write` and `end` belong to one task, `events` to another; leaving early ends the work."""

    def __init__(self, pool: LendingPool, spec: DecodeSpec) -> None:
        self._pool = pool
        self._spec = spec
        self._buffer = pool.buffer(can_replay=not spec.is_live)
        self.decoded_bytes = 0
        """Bytes that the present worker was given."""
        self._wanted_bytes = 1 if spec.source is DecodeSource.FRAMES else _FIRST_BYTES
        """With so many a worker is asked for."""
        self._progress_bytes = 0
        self._room = asyncio.Event()
        """Cleared while `write` waits."""
        self._room.set()
        self._wait = Wait()
        """For bytes, or for the reader to take a frame."""
        self._events = EventQueue()
        self._failure: AssayError | None = None
        self._budget: WallBudget
        self._worker: DecodeWorker | None = None
        self._turn = ProcessorTurn(pool)
        self._work: asyncio.Task[None]
        self.waits_since = 0.0

    async def __aenter__(self) -> Self:
        self._work = asyncio.create_task(self._run(), name="decode job")
        decoding, meter, started = begin_span("decode"), usage_meter(), time.monotonic()

        def ended(_: "asyncio.Task[None]") -> None:
            meter.decoding_seconds += time.monotonic() - started
            if decoding:
                decoding.end()

        self._work.add_done_callback(ended)
        self._work.add_done_callback(self._finish)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Without an await, so that a handler that is being cancelled gives its worker back all the same.
        self._work.cancel()

    @property
    def worker_pid(self) -> int | None:
        """Process that decodes this upload now; None while none does."""
        return self._worker.pid if self._worker else None

    @property
    def is_complete(self) -> bool:
        """All its bytes have arrived."""
        return self._buffer.has_ended

    @property
    def can_begin_anew(self) -> bool:
        """Another worker could be given every byte from the first on."""
        return self._buffer.is_whole

    @property
    def gives_way(self) -> bool:
        """A live stream does not: its bytes are not held."""
        return not self._spec.is_live

    async def write(self, chunk: bytes) -> None:
        """Hand on the next bytes; waits while the worker is behind, or while there is none and no room for more.

        Raises the job's error once there is one (`BadMedia`, `OverLimit`, `InvalidRequest`, `Busy`, `UploadStalled`).
        """
        if self._buffer.has_ended:
            raise self._failure or ValueError("write() after end()")
        for start in range(0, len(chunk), protocol.MAX_CHUNK_BYTES):
            piece = bytes(chunk[start : start + protocol.MAX_CHUNK_BYTES])
            room = self._spec.max_bytes - self._buffer.size
            if len(piece) > room:
                await self._end_at_limit(piece[:room])
            await self._hand_on(piece)

    async def _end_at_limit(self, piece: bytes) -> None:
        """What fits is decoded as if the file ended there; then comes the error, to the writer at once."""
        too_large = f"the file is larger than the limit of {self._spec.max_bytes} bytes"
        if piece and self._spec.is_video:
            await self._hand_on(piece)
        self._failure = self._failure or OverLimit(too_large, budget="max_video_bytes")
        if self._spec.is_video:
            self._end_here()
        else:
            self._work.cancel()
        raise self._failure

    async def end(self) -> None:
        """There are no more bytes. Raises the job's error if there is one already."""
        self._end_here()
        if self._failure is not None:
            raise self._failure

    def _end_here(self) -> None:
        self._buffer.has_ended = True
        self._wait.wake()

    async def events(self) -> AsyncIterator[DecodeEvent]:
        """`MediaInfo`, then `Frame`s in order of time, then one `DecodeSummary`; of a live stream also `Lost`.

        Raises the job's error after the frames that came before it.
        """
        while (event := await self._events.get()) is not None:
            self._wait.wake()
            yield event
        if self._failure is not None:
            raise self._failure

    async def _hand_on(self, piece: bytes) -> None:
        while not (self._work.done() or self._has_room(len(piece))):
            self._room.clear()
            self._wait.wake()  # for want of room, if for nothing else, a worker is asked for
            await self._room.wait()
        if self._failure is not None:
            raise self._failure
        if not self._work.done():
            self._buffer.append(piece)
            self._wait.wake()
        if self._worker is None:
            await asyncio.sleep(0)  # it may be lent one now, after which less may wait here

    def _has_room(self, size: int) -> bool:
        if self._worker is None and self.gives_way:
            return self._buffer.can_keep(size)
        return self._buffer.size - self.decoded_bytes < _SLICE_BYTES

    def _fail(self, error: AssayError) -> None:
        self._failure = self._failure or error
        self._work.cancel()

    async def _run(self) -> None:
        try:
            while not await self._attempt():
                pass
        except AssayError as error:
            self._failure = self._failure or error
        except Exception:
            log.exception("a decode job failed")
            self._failure = AssayError("the decoder failed; send the request again")

    def _finish(self, _: asyncio.Task[None]) -> None:
        """Release those that wait in `write` or `events`; a callback, as a task may be cancelled before it starts."""
        self._buffer.close()
        self._room.set()
        self._events.end()

    async def _attempt(self) -> bool:
        """Decode with one worker; False if it was taken back. Raises the job's error."""
        await self._wait.until(self._is_worth_a_worker)
        worker = await self._pool.lend(self)
        self._worker, self._budget = worker, WallBudget(self._spec, self._fail)
        self._events.begin_anew()
        self.decoded_bytes = self._progress_bytes = 0
        self.waits_since = asyncio.get_running_loop().time()
        self._room.set()
        try:
            await self._converse(worker)
        except TakenBack:
            self._wanted_bytes = 2 * self.decoded_bytes  # so that all beginnings together cost no more than the end
            if not self.can_begin_anew:
                raise UploadStalled(
                    "nothing came for a while, and others waited for the decoder; send the upload again without a pause"
                ) from None
        except (EOFError, ConnectionError):
            raise await self._obituary(worker) from None
        except protocol.ProtocolError as problem:
            log.warning("decode worker %d broke the protocol: %s", worker.pid, problem)
            raise BadMedia(BROKE_OFF) from problem
        else:
            return True
        finally:
            self._budget.close()
            self._worker = None
            self._pool.take_back(worker, has_turn=self._turn.hand_over())
            self._room.set()
        return False

    def _is_worth_a_worker(self) -> bool:
        has_enough = self._buffer.has_ended or self._buffer.size >= self._wanted_bytes
        return has_enough or not self._room.is_set()

    def interrupt(self) -> bool:
        """End its wait for bytes, so that its worker comes back. False if it does not wait any more."""
        return self._wait.interrupt()

    async def _converse(self, worker: DecodeWorker) -> None:
        """Answer the worker until it is ready for another job. Raises the error that it reports or dies of."""
        await worker.begin(self._spec)
        received: set[Kind] = set()
        while True:
            with self._budget.computing():  # only here the worker computes
                kind, body = await worker.receive()
            if kind in received & _ONCE or (kind in _PIXELS and Kind.INFO not in received):
                raise protocol.ProtocolError(f"{kind.name} out of turn")
            received.add(kind)
            if kind is Kind.WANT:
                await self._feed(worker)
            elif kind in _PIXELS:
                received.discard(Kind.LOST)
                frame = await worker.take(body)
                if kind is Kind.FRAME:
                    self._budget.frame(frame.pts_seconds)
                if not self._events.repeats_frame():
                    await self._hand_out(frame if kind is Kind.FRAME else StillPhoto(frame))
            elif kind in (Kind.INFO, Kind.LOST, Kind.SUMMARY):
                event = record_of(kind, body)
                if kind is Kind.INFO:
                    self._budget.media(event)
                self._events.put(event)
            elif kind is Kind.ERROR:
                failed = record_of(kind, body)
                log.info("upload refused: %s [%s]", failed.message, failed.detail)
                self._failure = self._failure or failed.error  # and READY follows
            elif kind is Kind.READY:
                return
            else:
                raise protocol.ProtocolError(f"unexpected {kind.name}")

    async def _feed(self, worker: DecodeWorker) -> None:
        """Answer a WANT, as soon as there are bytes and a turn."""
        self._turn.end()
        if not self._has_bytes():
            self._pool.pauses(worker, self)
            try:
                await self._wait.until(self._has_bytes)
            finally:
                self._pool.goes_on(worker)
        await self._turn.begin()
        piece = self._buffer.read(self.decoded_bytes, _SLICE_BYTES)
        self.decoded_bytes += len(piece)
        if self.decoded_bytes - self._progress_bytes >= _PROGRESS_BYTES:
            self._progress_bytes, self.waits_since = self.decoded_bytes, asyncio.get_running_loop().time()
        self._room.set()
        await worker.feed(piece)

    def _has_bytes(self) -> bool:
        return self._buffer.size > self.decoded_bytes or self._buffer.has_ended

    async def _hand_out(self, frame: Frame | StillPhoto) -> None:
        """To the reader of `events`. While there are enough already, others may compute."""
        if not self._events.has_room:
            self._turn.end()
            await self._wait.until(lambda: self._events.has_room)
            await self._turn.begin()
        self._events.put(frame)

    async def _obituary(self, worker: DecodeWorker) -> AssayError:
        """What to say about a worker that has died."""
        status = await worker.wait()
        if self._pool.is_closed:
            return ServiceUnavailable("the gateway is shutting down; send the request again")
        return worker.obituary(status, self._spec, self.decoded_bytes)
