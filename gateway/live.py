"""A live stream on its way from bytes to one result per window, for as long as it runs, at constant memory."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from functools import partial

from assay.frame import Clip, Frame
from assay.rpc.streams import Put, task_group
from assay.v1 import event_pb2, live_pb2, score_pb2
from assay.wire import duration
from gateway.assessment import Assessment
from gateway.clip_scoring import begun, score_clip
from gateway.decode.jobs import DecodeJob
from gateway.decode.spec import DecodeSource, DecodeSummary, Lost, MediaInfo
from gateway.request_limit import RequestLimit
from gateway.video_plan import live_spec, live_windows

Event = live_pb2.LiveEvent


@dataclass(slots=True)
class Cut:
    """A window that waits to be judged, and what happened since the one before."""

    clip: Clip
    index: int
    at_seconds: float
    """When its last frame left the decoder, by the loop's clock."""
    dropped_windows: int = 0
    dropped_frames: int = 0
    damaged_frames: int = 0
    clock_jumps: int = 0

    def takes_over(self, dropped: "Cut") -> None:
        """Takes over the counts of the window before this one, which is dropped."""
        self.dropped_windows += dropped.dropped_windows + 1
        self.dropped_frames += dropped.dropped_frames + len(dropped.clip.frames)
        self.damaged_frames += dropped.damaged_frames
        self.clock_jumps += dropped.clock_jumps


class Waiting:
    """Windows between the decoder and the model, at most `most`: then the oldest is left out, or the decoder waits."""

    def __init__(self, most: int, drops_oldest: bool) -> None:
        self._most = most
        self._drops_oldest = drops_oldest
        self._cuts: deque[Cut] = deque()
        self._changed = asyncio.Condition()
        self._has_ended = False

    async def put(self, cut: Cut) -> None:
        async with self._changed:
            if not self._drops_oldest:
                await self._changed.wait_for(lambda: len(self._cuts) < self._most)
            self._cuts.append(cut)
            if len(self._cuts) > self._most:
                dropped = self._cuts.popleft()
                self._cuts[0].takes_over(dropped)
            self._changed.notify_all()

    async def end(self) -> None:
        async with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    async def all(self) -> AsyncGenerator[Cut, None]:
        """The oldest first."""
        while (cut := await self.get()) is not None:
            yield cut

    async def get(self) -> Cut | None:
        """The oldest; None after the last."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._cuts or self._has_ended)
            cut = self._cuts.popleft() if self._cuts else None
            self._changed.notify_all()
            return cut


@dataclass(slots=True, kw_only=True)
class LiveStream(Assessment):
    """One live stream. It has a decode process for as long as it runs, but a turn at the processor only while there are
    bytes."""

    requests: RequestLimit
    is_frames: bool = False
    """Frames that are decoded already, instead of a container's bytes."""
    window_seconds: float = 0.0
    """0: the length that the model was made for."""
    hop_seconds: float = 0.0
    """0: the length of a window."""
    drops_oldest: bool = True
    _lost: Lost = field(default_factory=Lost)
    _cut_windows: int = 0
    _judged_windows: int = 0
    _dropped_windows: int = 0

    async def run(self, upload: AsyncIterator[bytes], put: Put[Event]) -> None:
        """Puts started, in order of time what is said of each window with its result last, ended; without numbers.

        Raises BadMedia, OverLimit, InvalidRequest, UnreadableVerdict, ModelUnavailable, ServiceUnavailable, Busy.
        """
        self._spec = await self.upstream.spec_for(self.request)
        waiting = Waiting(self.settings.max_waiting_windows, self.drops_oldest)
        source = DecodeSource.FRAMES if self.is_frames else DecodeSource.STREAM
        async with self.decoder.open(live_spec(self._spec, self.settings.limits, source)) as job, task_group() as group:
            group.create_task(_receive(upload, job))
            group.create_task(self._score_windows(waiting, put))
            await self._cut(job, waiting, put)
        await put(Event(ended=self._ended()))

    async def _cut(self, job: DecodeJob, waiting: Waiting, put: Put[Event]) -> None:
        """Frames become windows, each with the counts of what was lost before it."""
        windows = live_windows(self._spec, self.window_seconds, self.hop_seconds)
        lost, end_seconds = Lost(), None
        async for item in job.events():
            match item:
                case MediaInfo():
                    await put(Event(started=self._started(item)))
                case Lost():
                    lost = item
                case Frame():
                    if (thumbnail := await self.thumbnails.feed(item)) is not None:
                        await put(Event(thumbnail=thumbnail))
                    for clip in windows.feed(item):
                        await waiting.put(self._counted(clip))
                    # What was lost in front of this frame belongs to its window, and not to the one that it closes.
                    self._lost, lost = self._lost + lost, Lost()
                case DecodeSummary():
                    self._complete_media(item, item.frames_sampled)
                    end_seconds = item.end_seconds
        self._lost += lost
        for clip in windows.finish(end_seconds):
            await waiting.put(self._counted(clip))
        await waiting.end()

    def _counted(self, clip: Clip) -> Cut:
        lost, self._lost = self._lost, Lost()
        cut = Cut(
            clip,
            self._cut_windows,
            asyncio.get_running_loop().time(),
            damaged_frames=lost.damaged_frames,
            clock_jumps=lost.clock_jumps,
        )
        self._cut_windows += 1
        return cut

    async def _score_windows(self, waiting: Waiting, put: Put[Event]) -> None:
        async def report(event: Event) -> None:
            if event.HasField("window"):
                self._judged_windows += 1
                self._dropped_windows += event.window.dropped_windows
            if not event.HasField("attribute") or self._is_wanted(event.attribute.attribute):
                await put(event)

        await self._score_in_order(waiting.all(), lambda cut: partial(self._score_window, cut), report)

    async def _score_window(self, cut: Cut, put: Put[Event]) -> None:
        window = begun(cut.index, cut.clip, cut.clip)

        async def put_live(event: event_pb2.ScoreEvent) -> None:
            kind = str(event.WhichOneof("event"))
            await put(Event(**{kind: getattr(event, kind)}))

        async with self.requests.turn(self.request.tenant, "live"):
            await score_clip(self.upstream, self.request, cut.clip, window, put_live)
        await put(self._result(cut, window))

    def _result(self, cut: Cut, window: score_pb2.WindowResult) -> Event:
        self._leave_out_unwanted(window)
        return Event(
            window=live_pb2.LiveWindow(
                window=window,
                dropped_windows=cut.dropped_windows,
                dropped_frames=cut.dropped_frames,
                damaged_frames=cut.damaged_frames,
                clock_jumps=cut.clock_jumps,
                lag=duration(asyncio.get_running_loop().time() - cut.at_seconds),
            )
        )

    def _ended(self) -> live_pb2.LiveEnded:
        return live_pb2.LiveEnded(
            judged_windows=self._judged_windows, dropped_windows=self._dropped_windows, media=self._media
        )


async def _receive(upload: AsyncIterator[bytes], job: DecodeJob) -> None:
    async for chunk in upload:
        await job.write(chunk)
    await job.end()
