"""The sentence in one screen: bytes become frames, frames become clips, clips become scores, and these one result."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from assay.errors import OverLimit
from assay.frame import Clip, Frame
from assay.rpc.streams import Put, Turn, Turns, task_group
from assay.rpc.tracing import span
from assay.v1 import attribute_pb2, event_pb2, score_pb2
from assay.video import Sampling, VideoOptions
from assay.wire import attribute_name, duration
from gateway.clip_scoring import ClipScorer, Event, Scoring
from gateway.decode.events import DecodeEvent
from gateway.decode.jobs import DecodeJob, DecodePool
from gateway.decode.spec import DecodeSummary, MediaInfo, StillPhoto
from gateway.repeats import Repeats
from gateway.request_limit import RequestPlace
from gateway.scenes import Scenes
from gateway.settings import GatewaySettings
from gateway.thumbnail import Thumbnails
from gateway.timeline import Timeline
from gateway.upstream import ModelSpec, RequestOptions, Upstream
from gateway.video_plan import VideoPlan, image_spec

PROGRESS_BYTES = 1 << 20
STANDS_STILL = "where the video shows one picture and nothing moves, that was judged as the photo that it is"
C = TypeVar("C")
"""A clip, or one with what a live stream says of it."""
E = TypeVar("E")
"""An event for the client."""


@dataclass(slots=True, kw_only=True)
class Assessment:
    """What a file and a live stream share on the way from bytes to scores."""

    request: RequestOptions
    attributes: frozenset[str]
    """Names to report; all if empty."""
    decoder: DecodePool
    upstream: Upstream
    settings: GatewaySettings
    thumbnails: Thumbnails = field(default_factory=lambda: Thumbnails(0))
    is_video: bool = True
    _media: event_pb2.MediaInfo = field(default_factory=event_pb2.MediaInfo)
    _spec: ModelSpec = field(init=False)

    async def _score_in_order(
        self,
        clips: AsyncGenerator[C, None],
        scoring_of: Callable[[C], Callable[[Put[E]], Coroutine[Any, Any, None]]],
        put: Put[E],
    ) -> None:
        """Scores clips as they are decoded, `windows_at_once` at a time; their events are put in the clips' order."""
        turns, limit = Turns(put), asyncio.Semaphore(self.settings.windows_at_once)

        async def score(scoring: Callable[[Put[E]], Coroutine[Any, Any, None]], turn: Turn[E]) -> None:
            await scoring(turn.put)
            await turn.end()
            limit.release()

        async with task_group() as group, aclosing(clips):
            # A place is taken before the frames of the next clip are decoded.
            while await limit.acquire() and (clip := await anext(clips, None)) is not None:
                group.create_task(score(scoring_of(clip), turns.begin()))

    def _is_wanted(self, attribute: attribute_pb2.Attribute) -> bool:
        return not self.attributes or attribute_name(attribute) in self.attributes

    def _leave_out_unwanted(self, window: score_pb2.WindowResult) -> None:
        wanted = [each for each in window.attributes if self._is_wanted(each)]
        del window.attributes[:]
        window.attributes.extend(wanted)

    def _started(self, info: MediaInfo) -> event_pb2.Started:
        self._media = event_pb2.MediaInfo(
            kind=event_pb2.MEDIA_KIND_VIDEO if self.is_video else event_pb2.MEDIA_KIND_IMAGE,
            container=info.container,
            codec=info.codec,
            width_px=info.width_px,
            height_px=info.height_px,
        )
        return event_pb2.Started(request_id=self.request.request_id, media=self._media, model=self._spec.model)

    def _complete_media(self, summary: DecodeSummary, sampled_frames: int) -> None:
        self._media.decoded_frames = summary.frames_decoded
        self._media.corrupt_frames = summary.frames_corrupt
        self._media.sampled_frames = sampled_frames
        self._media.warnings.extend(summary.warnings)
        if self.is_video:
            self._media.duration.CopyFrom(duration(summary.duration_seconds))


@dataclass(slots=True, kw_only=True)
class FileAssessment(Assessment):
    """One file on its way from bytes to result."""

    place: RequestPlace
    options: VideoOptions = field(default_factory=VideoOptions)
    """What the request says of a video."""
    _received_bytes: int = 0
    _sampled_frames: int = 0
    _reached_seconds: float = 0.0
    _started_windows: int = 0
    _has_photos: bool = False
    _skipped_packets: int = 0
    _plan: VideoPlan = field(init=False)
    _repeats: Repeats = field(init=False)
    _timeline: Timeline = field(init=False)
    _scenes: Scenes | None = None
    _spent: OverLimit | None = None
    """The budget that ended a video of which something could be scored."""

    async def run(self, upload: AsyncIterator[bytes], put: Put[Event]) -> None:
        """Puts every event for the client, in order, without sequence numbers; the result last.

        Raises BadMedia, OverLimit, InvalidRequest, UnreadableVerdict, ModelUnavailable, ServiceUnavailable, Busy.
        """
        self._spec = await self.upstream.spec_for(self.request)
        self._plan = VideoPlan.of(self.options, self._spec, self.settings.video)
        self._repeats = Repeats(self._plan.repeat_levels)
        self._timeline = Timeline(self._plan.rule, self._spec.grade_quantiles)
        if self.is_video and self._plan.sampling is Sampling.SCENE:
            self._scenes = Scenes(self._plan.frames_per_second)
        is_video, limits = self.is_video, self.settings.limits
        decode_spec = self._plan.decode_spec(self._spec, limits) if is_video else image_spec(self._spec, limits)
        async with self.decoder.open(decode_spec) as job, task_group() as group:
            receiving = group.create_task(self._receive(upload, job, put))
            await self._score_windows(job, put)
            if self._spent is not None:  # the rest of the upload is not waited for
                receiving.cancel()
        await put(Event(result=self._result()))

    async def _receive(self, upload: AsyncIterator[bytes], job: DecodeJob, put: Put[Event]) -> None:
        reported_bytes = 0
        try:
            async for chunk in upload:
                await job.write(chunk)
                self.place.received(len(chunk))
                self._received_bytes += len(chunk)
                if self._received_bytes - reported_bytes >= PROGRESS_BYTES and self._media.container:
                    reported_bytes = self._received_bytes
                    await put(self._progress())
            await job.end()
            await self.place.keep()
        except OverLimit as spent:
            if not spent.budget:
                raise
            # The reader of the frames gets the same error, and knows whether something was scored before it.

    async def _score_windows(self, job: DecodeJob, put: Put[Event]) -> None:
        scorer = ClipScorer(self.upstream, self.request)

        def scoring_of(clip: Clip) -> Scoring:
            self._started_windows += 1
            photo = self._repeats.photo_of(clip)
            self._has_photos = self._has_photos or photo is not None
            return partial(self._at_work, scorer.begin(clip, photo))

        async def report(event: Event) -> None:
            if event.HasField("attribute") and not self._is_wanted(event.attribute.attribute):
                return
            if event.HasField("window"):
                self._leave_out_unwanted(event.window)
            await put(event)
            if event.HasField("window"):
                self._timeline.feed(event.window)
                await put(self._progress())

        await self._score_in_order(self._clips(job, put), scoring_of, report)

    async def _at_work(self, scoring: Scoring, put: Put[Event]) -> None:
        async with self.place.at_work():
            await scoring(put)

    async def _clips(self, job: DecodeJob, put: Put[Event]) -> AsyncGenerator[Clip, None]:
        windows = self._plan.windows()
        end_seconds: float | None = None
        async for item in self._until_spent(job):
            match item:
                case MediaInfo():
                    await put(Event(started=self._started(item)))
                case Frame():
                    self._reached_seconds = item.pts_seconds
                    frame = self._scenes.feed(item) if self._scenes else item
                    if frame is None:
                        continue
                    self._sampled_frames += 1
                    if (thumbnail := await self.thumbnails.feed(frame)) is not None:
                        await put(Event(thumbnail=thumbnail))
                    for clip in windows.feed(self._repeats.feed(frame)) if self.is_video else [Clip((frame,), False)]:
                        yield clip
                case StillPhoto():
                    self._repeats.feed_photo(item.frame)
                case DecodeSummary():
                    self._complete_media(item, self._sampled_frames)
                    self._skipped_packets = item.packets_skipped
                    end_seconds = item.end_seconds
        for clip in windows.finish(end_seconds):
            yield clip

    async def _until_spent(self, job: DecodeJob) -> AsyncGenerator[DecodeEvent, None]:
        """What the decoder says. A budget that is spent after the first window ends it, as the file's end would."""
        try:
            async for item in job.events():
                yield item
                if self._started_windows >= (most := self._plan.max_windows):
                    raise OverLimit(
                        f"the video has more than {most} windows; choose a longer hop", budget="max_windows"
                    )
        except OverLimit as spent:
            if not (spent.budget and self._started_windows):
                raise
            self._spent = spent

    def _progress(self) -> Event:
        return Event(
            progress=event_pb2.Progress(
                received_bytes=self._received_bytes,
                sampled_frames=self._sampled_frames,
                finished_windows=len(self._timeline),
                started_windows=self._started_windows,
            )
        )

    def _result(self) -> event_pb2.Result:
        result = event_pb2.Result(media=self._media, model=self._spec.model)
        with span("merge"):
            self._timeline.fill(result, is_video=self.is_video)
        if self.is_video:
            result.video.CopyFrom(self._plan.report())
            result.video.repeated_frames = self._repeats.count
            result.video.scene_cuts = self._scenes.cuts if self._scenes else 0
            result.video.skipped_packets = self._skipped_packets
        if self._has_photos:
            result.media.warnings.append(STANDS_STILL)
        if self._spent is not None:
            self._tell_how_far(result, self._spent)
        return result

    def _tell_how_far(self, result: event_pb2.Result, spent: OverLimit) -> None:
        result.partial.budget = spent.budget
        result.partial.message = spent.message
        result.partial.reached_offset.CopyFrom(duration(self._reached_seconds))
        result.partial.received_bytes = self._received_bytes
        if not result.media.HasField("duration"):  # the decoder was stopped before it could say
            result.media.duration.CopyFrom(result.partial.reached_offset)
            result.media.decoded_frames = result.media.sampled_frames = self._sampled_frames
            result.media.warnings.append("how many frames were decoded is not known; counted are those sampled")
