"""The sentence in one screen: bytes become frames, frames become clips, clips become scores, and these one result."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from assay.errors import OverLimit
from assay.frame import Clip, Frame
from assay.repeats import Repeats
from assay.rpc.streams import Put, Turn, Turns, task_group
from assay.v1 import event_pb2
from assay.video import Sampling, VideoOptions
from assay.video_wire import duration
from assay.wire import attribute_name, resampling_from_wire
from gateway.clip_scoring import ClipScorer, Event, Scoring
from gateway.decode.jobs import DecodeEvent, DecodeJob, DecodePool
from gateway.decode.spec import DecodeLimits, DecodeSpec, DecodeSummary, MediaInfo, Shrink, Target
from gateway.request_limit import RequestPlace
from gateway.scenes import Scenes
from gateway.thumbnail import Thumbnails
from gateway.timeline import Timeline
from gateway.upstream import ModelSpec, RequestOptions, Upstream
from gateway.video_plan import VideoDefaults, VideoPlan

PROGRESS_BYTES = 1 << 20


@dataclass(slots=True)
class Assessment:
    """One request on its way from bytes to result."""

    request: RequestOptions
    is_video: bool
    attributes: frozenset[str]
    """Names to report; all if empty."""
    decoder: DecodePool
    upstream: Upstream
    limits: DecodeLimits
    video_defaults: VideoDefaults
    place: RequestPlace
    options: VideoOptions = field(default_factory=VideoOptions)
    """What the request says of a video."""
    windows_at_once: int = 2
    thumbnails: Thumbnails = field(default_factory=lambda: Thumbnails(0))
    _received_bytes: int = 0
    _sampled_frames: int = 0
    _reached_seconds: float = 0.0
    _started_windows: int = 0
    _skipped_packets: int = 0
    _media: event_pb2.MediaInfo = field(default_factory=event_pb2.MediaInfo)
    _spec: ModelSpec = field(init=False)
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
        self._plan = VideoPlan.of(self.options, self._spec, self.video_defaults)
        self._repeats = Repeats(self._plan.repeat_levels)
        self._timeline = Timeline(self._plan.rule, self._spec.grade_quantiles)
        if self.is_video and self._plan.sampling is Sampling.SCENE:
            self._scenes = Scenes(self._plan.frames_per_second)
        async with self.decoder.open(self._decode_spec()) as job, task_group() as group:
            receiving = group.create_task(self._receive(upload, job, put))
            await self._score_windows(job, put)
            if self._spent is not None:  # the rest of the upload is not waited for
                receiving.cancel()
        await put(Event(result=self._result()))

    def _decode_spec(self) -> DecodeSpec:
        spec = self._spec
        if self.is_video:
            target = Target(spec.video_min_pixels, spec.video_max_pixels, spec.factor_px, self._shrink(spec))
            return self._plan.decode_spec(target, self.limits)
        target = Target(
            spec.image_min_pixels,
            spec.image_max_pixels,
            spec.factor_px,
            self._shrink(spec),
            spec.enlarge_first_pixels,
            spec.leave_out_borders,
        )
        return DecodeSpec(is_video=False, target=target, limits=self.limits)

    def _shrink(self, spec: ModelSpec) -> Shrink | None:
        if not spec.HasField("shrink_first"):
            return None
        first = spec.shrink_first
        pixels = first.video_pixels if self.is_video else first.image_pixels
        return Shrink(pixels, resampling_from_wire(first.resampling))

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
        """Scores clips as they are decoded, `windows_at_once` at a time; their events are put in the clips' order."""

        async def report(event: Event) -> None:
            if not self._is_reported(event):
                return
            await put(event)
            if event.HasField("window"):
                self._timeline.feed(event.window)
                await put(self._progress())

        turns, limit = Turns(report), asyncio.Semaphore(self.windows_at_once)
        scorer = ClipScorer(self.upstream, self.request)
        async with task_group() as group, aclosing(self._clips(job, put)) as clips:
            # A place is taken before the frames of the next clip are decoded.
            while await limit.acquire() and (clip := await anext(clips, None)) is not None:
                self._started_windows += 1
                group.create_task(self._in_turn(scorer.begin(clip), turns.begin(), limit))

    async def _in_turn(self, scoring: Scoring, turn: Turn[Event], limit: asyncio.Semaphore) -> None:
        async with self.place.at_work():
            await scoring(turn.put)
        await turn.end()
        limit.release()

    async def _clips(self, job: DecodeJob, put: Put[Event]) -> AsyncGenerator[Clip, None]:
        windows = self._plan.windows()
        end_seconds: float | None = None
        async for item in self._until_spent(job):
            match item:
                case MediaInfo():
                    self._open_media(item)
                    await put(Event(started=self._started()))
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
                case DecodeSummary():
                    self._complete_media(item)
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

    def _open_media(self, info: MediaInfo) -> None:
        self._media = event_pb2.MediaInfo(
            kind=event_pb2.MEDIA_KIND_VIDEO if self.is_video else event_pb2.MEDIA_KIND_IMAGE,
            container=info.container,
            codec=info.codec,
            width_px=info.width_px,
            height_px=info.height_px,
        )

    def _started(self) -> event_pb2.Started:
        return event_pb2.Started(request_id=self.request.request_id, media=self._media, model=self._spec.model)

    def _is_reported(self, event: Event) -> bool:
        """False for an attribute that nobody asked for; such are taken out of a window."""
        if event.HasField("attribute"):
            return self._is_wanted(attribute_name(event.attribute.attribute))
        if event.HasField("window"):
            wanted = [each for each in event.window.attributes if self._is_wanted(attribute_name(each))]
            del event.window.attributes[:]
            event.window.attributes.extend(wanted)
        return True

    def _is_wanted(self, name: str) -> bool:
        return not self.attributes or name in self.attributes

    def _complete_media(self, summary: DecodeSummary) -> None:
        self._media.decoded_frames = summary.frames_decoded
        self._media.corrupt_frames = summary.frames_corrupt
        self._media.sampled_frames = self._sampled_frames
        self._media.warnings.extend(summary.warnings)
        self._skipped_packets = summary.packets_skipped
        if self.is_video:
            self._media.duration.CopyFrom(duration(summary.duration_seconds))

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
        self._timeline.fill(result, is_video=self.is_video)
        if self.is_video:
            result.video.CopyFrom(self._plan.report())
            result.video.repeated_frames = self._repeats.count
            result.video.scene_cuts = self._scenes.cuts if self._scenes else 0
            result.video.skipped_packets = self._skipped_packets
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
