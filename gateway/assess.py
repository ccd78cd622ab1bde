"""The sentence in one screen: bytes become frames, frames become clips, clips become scores, and these one result."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from assay.checkpoint import FormName
from assay.frame import Clip, Frame
from assay.pooling import pool_attributes, pool_mean
from assay.v1 import event_pb2, score_pb2
from assay.windows import Windows
from assay.wire import (
    attribute_from_wire,
    attribute_name,
    attribute_to_wire,
    resampling_from_wire,
    score_from_wire,
    score_to_wire,
)
from gateway.decode import DecodeJob, DecodePool
from gateway.decode_spec import DecodeLimits, DecodeSpec, DecodeSummary, MediaInfo, Shrink, Target
from gateway.merge import in_turn, merged
from gateway.upstream import ModelSpec, Upstream
from gateway.window import Event, offset, window_events

PROGRESS_BYTES = 1 << 20


@dataclass(slots=True)
class Assessment:
    """One request on its way from bytes to result."""

    request_id: str
    is_video: bool
    form: FormName
    attributes: frozenset[str]
    """Names to report; all if empty."""
    decoder: DecodePool
    upstream: Upstream
    limits: DecodeLimits
    windows_at_once: int = 2
    tenant: str = ""
    """Whose composite weights to use; empty for none."""
    _received_bytes: int = 0
    _sampled_frames: int = 0
    _started_windows: int = 0
    _media: event_pb2.MediaInfo = field(default_factory=event_pb2.MediaInfo)
    _windows: list[score_pb2.WindowResult] = field(default_factory=list)

    async def events(self, upload: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
        """Everything that a client is told, in order, without sequence numbers; the result last.

        Raises BadMedia, OverLimit, InvalidRequest, UnreadableVerdict, ModelUnavailable, ServiceUnavailable, Busy.
        """
        spec = await self.upstream.spec(self.form)
        async with (
            self.decoder.open(self._decode_spec(spec)) as job,
            aclosing(merged(self._receive(upload, job), self._judge(job, spec))) as events,
        ):
            async for event in events:
                yield event
        yield Event(result=self._result(spec))

    def _decode_spec(self, spec: ModelSpec) -> DecodeSpec:
        low, high = (
            (spec.video_min_pixels, spec.video_max_pixels)
            if self.is_video
            else (spec.image_min_pixels, spec.image_max_pixels)
        )
        target = Target(low, high, spec.factor_px, self._shrink(spec))
        return DecodeSpec(self.is_video, target, spec.frames_per_second, self.limits)

    def _shrink(self, spec: ModelSpec) -> Shrink | None:
        if not spec.HasField("shrink_first"):
            return None
        first = spec.shrink_first
        pixels = first.video_pixels if self.is_video else first.image_pixels
        return Shrink(pixels, resampling_from_wire(first.resampling))

    async def _receive(self, upload: AsyncIterator[bytes], job: DecodeJob) -> AsyncGenerator[Event, None]:
        told_bytes = 0
        async for chunk in upload:
            await job.write(chunk)
            self._received_bytes += len(chunk)
            if self._received_bytes - told_bytes >= PROGRESS_BYTES and self._media.container:
                told_bytes = self._received_bytes
                yield self._progress()
        await job.end()

    async def _judge(self, job: DecodeJob, spec: ModelSpec) -> AsyncGenerator[Event, None]:
        async with aclosing(in_turn(self._streams(job, spec), self.windows_at_once)) as events:
            async for event in events:
                yield event
                if event.HasField("window"):
                    self._windows.append(event.window)
                    yield self._progress()

    async def _streams(self, job: DecodeJob, spec: ModelSpec) -> AsyncGenerator[AsyncGenerator[Event, None], None]:
        windows = Windows(spec.clip_seconds, spec.clip_max_frames)
        async for item in job.events():
            match item:
                case MediaInfo():
                    self._open_media(item)
                    yield _alone(
                        Event(
                            started=event_pb2.Started(request_id=self.request_id, media=self._media, model=spec.model)
                        )
                    )
                case Frame():
                    self._sampled_frames += 1
                    for clip in windows.feed(item) if self.is_video else [Clip((item,), is_video=False)]:
                        yield self._window(clip)
                case DecodeSummary():
                    self._complete_media(item)
        for clip in windows.finish():
            yield self._window(clip)

    def _open_media(self, info: MediaInfo) -> None:
        self._media = event_pb2.MediaInfo(
            kind=event_pb2.MEDIA_KIND_VIDEO if self.is_video else event_pb2.MEDIA_KIND_IMAGE,
            container=info.container,
            codec=info.codec,
            width_px=info.width_px,
            height_px=info.height_px,
        )

    def _window(self, clip: Clip) -> AsyncGenerator[Event, None]:
        index = self._started_windows
        self._started_windows += 1
        return self._reported(window_events(self.upstream, self.request_id, self.form, clip, index, self.tenant))

    async def _reported(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events without the attributes that nobody asked for."""
        async with aclosing(events):
            async for event in events:
                if event.HasField("attribute") and not self._is_wanted(attribute_name(event.attribute.attribute)):
                    continue
                if event.HasField("window"):
                    wanted = [each for each in event.window.attributes if self._is_wanted(attribute_name(each))]
                    del event.window.attributes[:]
                    event.window.attributes.extend(wanted)
                yield event

    def _is_wanted(self, name: str) -> bool:
        return not self.attributes or name in self.attributes

    def _complete_media(self, summary: DecodeSummary) -> None:
        self._media.decoded_frames = summary.frames_decoded
        self._media.corrupt_frames = summary.frames_corrupt
        self._media.sampled_frames = summary.frames_sampled
        self._media.warnings.extend(summary.warnings)
        if self.is_video:
            self._media.duration.CopyFrom(offset(summary.duration_seconds))

    def _progress(self) -> Event:
        return Event(
            progress=event_pb2.Progress(
                received_bytes=self._received_bytes,
                sampled_frames=self._sampled_frames,
                finished_windows=len(self._windows),
                started_windows=self._started_windows,
            )
        )

    def _result(self, spec: ModelSpec) -> event_pb2.Result:
        # Frames are sampled at an even rate, so a window's share of the time is its share of the frames.
        weights = [float(window.frame_count) for window in self._windows]
        score = pool_mean([score_from_wire(window.score) for window in self._windows], weights)
        told = [[attribute_from_wire(each) for each in window.attributes] for window in self._windows]
        result = event_pb2.Result(
            score=score_to_wire(score),
            pooling=event_pb2.POOLING_MEAN,
            attributes=[attribute_to_wire(each) for each in pool_attributes(told, weights)],
            windows=self._windows,
            media=self._media,
            model=spec.model,
        )
        if all(window.HasField("composite_score") for window in self._windows):
            composites = [score_from_wire(window.composite_score) for window in self._windows]
            result.composite_score.CopyFrom(score_to_wire(pool_mean(composites, weights)))
        return result


async def _alone(event: Event) -> AsyncGenerator[Event, None]:
    yield event
