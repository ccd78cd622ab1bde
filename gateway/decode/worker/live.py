"""A live stream becomes sampled frames for as long as it runs: budgets begin anew, clocks may jump, nothing grows."""

from collections.abc import Callable, Iterator
from functools import partial

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.errors import BadMedia, InvalidRequest
from assay.frame import Frame
from gateway.decode.spec import RAW_FRAME, DecodeLimits, DecodeSpec, DecodeSummary, Lost, MediaInfo
from gateway.decode.worker.budget import Budget, grant_cpu
from gateway.decode.worker.container import open_source, open_tracks, prepare, presentation_of, video_stream
from gateway.decode.worker.deinterlace import DEINTERLACED, Deinterlacer
from gateway.decode.worker.fragments import Fragments
from gateway.decode.worker.packet_clock import LIVE_GAP_SECONDS, LiveTime, PacketClock
from gateway.decode.worker.presentation import Presentations
from gateway.decode.worker.reader import BoundedReader, UploadReader
from gateway.decode.worker.resize import FrameOrientation, FrameResizer, Orientation, resize_picture
from gateway.decode.worker.sampler import shown_size
from gateway.decode.worker.video import frames_of
from gateway.sampling import FixedRate

Event = MediaInfo | Frame | Lost | DecodeSummary

_BLIND_BYTES = 64 << 20
_NO_INDEX = "a live MP4 must begin with its index and go on in fragments (moov, then moof and mdat); or send MPEG-TS"


class LiveBudget(Budget):
    """What a stretch of a live stream may spend; the next stretch may spend as much again."""

    def __init__(self, limits: DecodeLimits, upload: UploadReader, renew_seconds: float) -> None:
        self._renew_seconds = renew_seconds
        self._begun_seconds = 0.0
        self.frames_before = 0
        self.corrupt_before = 0
        super().__init__(limits, upload)

    def frame(self, pixels: int, media_seconds: float) -> None:
        """A frame was decoded, shown so long after the first of the stream."""
        if media_seconds - self._begun_seconds >= self._renew_seconds:
            self._renew(media_seconds)
        super().frame(pixels, media_seconds - self._begun_seconds)

    def _renew(self, media_seconds: float) -> None:
        self._begun_seconds = media_seconds
        self.frames_before += self.frames
        self.corrupt_before += self.corrupt
        grant_cpu(self._limits.cpu_budget_seconds(2 * self._renew_seconds, self._most_pixels))
        super().__init__(self._limits, self._upload)


class _Watch:
    """Hands bytes on, unless too many have come since the last picture."""

    def __init__(self, upload: UploadReader, read: Callable[[int], bytes]) -> None:
        self._upload = upload
        self._read = read
        self._counted_bytes = 0

    def saw_a_picture(self) -> None:
        self._counted_bytes = self._upload.bytes_arrived

    def read(self, size: int) -> bytes:
        if self._upload.bytes_arrived - self._counted_bytes > _BLIND_BYTES:
            raise BadMedia(
                f"{_BLIND_BYTES >> 20} MiB of the stream came without a picture in its first video track; start the "
                "stream again after its tracks have changed"
            )
        return self._read(size)


class _Sampler:
    """Frames of the stream in order -> those to look at, in one size."""

    def __init__(self, spec: DecodeSpec, upload: UploadReader, container: str, clock: LiveTime | PacketClock) -> None:
        self.budget = LiveBudget(spec.limits, upload, spec.renew_seconds)
        self._container = container
        self._clock = clock
        self.deinterlace = Deinterlacer()
        self._origin_seconds: float | None = None
        self._rate = FixedRate(spec.frames_per_second)
        self._sampled = 0
        self._last_seconds = -1.0
        self._step_seconds = 0.0
        self._reported = Lost()
        self._has_begun = False

    def feed(
        self, pts_seconds: float, shown: tuple[int, int], codec: str, pixels: Callable[[], NDArray[np.uint8]] | None
    ) -> Iterator[Event]:
        """One frame: its time, (height, width) as shown, and what makes its pixels; None if it is damaged."""
        self._origin_seconds = pts_seconds if self._origin_seconds is None else self._origin_seconds
        pts_seconds -= self._origin_seconds
        if pts_seconds <= self._last_seconds:
            return
        self.budget.frame(shown[0] * shown[1], pts_seconds)
        self._step_seconds = pts_seconds - self._last_seconds if self._has_begun else 0.0
        self._last_seconds = pts_seconds
        if pixels is None:
            self.budget.corrupt += 1
            self.budget.frames -= 1
            return
        if not self._has_begun:
            self._has_begun = True
            yield MediaInfo(True, self._container, codec, width_px=shown[1], height_px=shown[0])
        if self._rate.feed(pts_seconds):
            self._sampled += 1
            yield from self._lost()
            yield Frame(pixels(), pts_seconds)

    def _lost(self) -> Iterator[Lost]:
        total = Lost(self.budget.corrupt_before + self.budget.corrupt, self._clock.jumps)
        if total != self._reported:
            yield Lost(
                total.damaged_frames - self._reported.damaged_frames, total.clock_jumps - self._reported.clock_jumps
            )
            self._reported = total

    def summary(self) -> Iterator[Event]:
        """Raises `BadMedia` if there was nothing to look at."""
        budget = self.budget
        if not self._sampled:
            raise BadMedia("the stream ended before its first whole picture; send it from a key frame on")
        yield from self._lost()
        frames, corrupt = budget.frames_before + budget.frames, budget.corrupt_before + budget.corrupt
        warnings = (DEINTERLACED,) if self.deinterlace.count else ()
        last = max(self._last_seconds, 0.0)
        yield DecodeSummary(last, frames, corrupt, self._sampled, warnings, end_seconds=last + self._step_seconds)


def decode_stream(upload: UploadReader, container: str, spec: DecodeSpec) -> Iterator[Event]:
    """A container's bytes: `MediaInfo`, `Frame`s and what was `Lost` between them, `DecodeSummary` last.

    Raises `BadMedia`, `OverLimit`, and anything that FFmpeg or PyAV come up with.
    """
    opened = open_source(upload, container, spec, may_spool=False)
    if opened is None:
        raise BadMedia(_NO_INDEX)
    stretches = _Stretches(spec, upload, container, opened.presentations)
    if container == "mp4":
        fragments = Fragments(upload)
        watch = _Watch(upload, fragments.read)
        while fragments.next_stretch():
            yield from stretches.decode(watch)
    else:
        yield from stretches.decode(_Watch(upload, opened.source.read))
    yield from stretches.sampler.summary()


class _Stretches:
    """What FFmpeg sees as files, one after the other."""

    def __init__(self, spec: DecodeSpec, upload: UploadReader, container: str, presentations: Presentations) -> None:
        self._limits, self._container, self._presentations = spec.limits, container, presentations
        self._clock = PacketClock(LIVE_GAP_SECONDS)
        self._resize = FrameResizer(spec.target)
        self.sampler = _Sampler(spec, upload, container, self._clock)

    def decode(self, watch: _Watch) -> Iterator[Event]:
        """The next one."""
        source, limits, container = BoundedReader(watch.read), self._limits, self._container
        with open_tracks(source, container, limits.max_video_pixels, limits.max_streams) as media:
            stream = video_stream(media)
            prepare(stream, limits.max_video_pixels)
            self._resize.presentation = presentation_of(stream, container, self._presentations)
            turns, codec = FrameOrientation(), stream.codec_context.codec.canonical_name
            before: av.VideoFrame | None = None
            for frame in frames_of(media, stream, self.sampler.budget, self._clock):
                if frame.time is None:
                    continue
                watch.saw_a_picture()
                turn = turns.of(frame)
                shown = shown_size(frame, stream, turn, self._resize.presentation)
                pixels = None if frame.is_corrupt else partial(self._pixels, frame, before, shown, turn)
                yield from self.sampler.feed(frame.time, shown, codec, pixels)
                before = frame
        if self.sampler.budget.broke_off:
            raise BadMedia("the stream is damaged so badly that it cannot be read on; start it again")

    def _pixels(
        self, frame: av.VideoFrame, before: av.VideoFrame | None, shown: tuple[int, int], turn: Orientation
    ) -> NDArray[np.uint8]:
        """Of a frame that does not wait for the next one to be deinterlaced."""
        return self._resize(self.sampler.deinterlace(frame, before, None), shown, turn)


def decode_frames(upload: UploadReader, spec: DecodeSpec) -> Iterator[Event]:
    """Frames that are decoded already, each `RAW_FRAME` and its pixels: the same events."""
    time = LiveTime()
    sampler = _Sampler(spec, upload, "frames", time)
    size: tuple[int, int] | None = None
    while head := _exactly(upload, RAW_FRAME.size, at_end=True):
        seconds, height, width = RAW_FRAME.unpack(head)
        sampler.budget.packet(RAW_FRAME.size)
        if height * width > spec.limits.max_video_pixels:
            sampler.budget.frame(height * width, 0.0)  # which refuses it before its pixels are waited for
        data = _exactly(upload, 3 * height * width)

        def pixels(data: bytes = data, shape: tuple[int, int] = (width, height)) -> NDArray[np.uint8]:
            nonlocal size
            picture = Image.frombuffer("RGB", shape, data)
            if size is not None and picture.size != size:
                picture = picture.resize(size, Image.Resampling.BICUBIC)
            size = picture.size
            return resize_picture(picture, spec.target)

        pts_seconds = time.feed(seconds)
        if pts_seconds is not None:
            yield from sampler.feed(pts_seconds, (height, width), "rgb24", pixels)
    yield from sampler.summary()


def _exactly(upload: UploadReader, size: int, *, at_end: bool = False) -> bytes:
    """So many bytes; none at all only where the stream may end."""
    parts = bytearray()
    while len(parts) < size and (data := upload.read(size - len(parts))):
        parts += data
    if len(parts) < size and not (at_end and not parts):
        raise InvalidRequest("the stream ended in the middle of a frame", field="pixels")
    return bytes(parts)
