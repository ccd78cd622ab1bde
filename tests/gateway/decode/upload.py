"""Send bytes to a decode pool as a handler of the gateway would: one task writes, the other takes events."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from assay.errors import AssayError
from assay.frame import Frame
from gateway.decode.jobs import DecodeJob, DecodePool
from gateway.decode.spec import DecodeSpec, DecodeSummary, MediaInfo, StillPhoto, Target
from tests.media.build import media

TARGET = Target(min_pixels=56 * 56, max_pixels=448 * 448)
PICTURE = DecodeSpec(is_video=False, target=TARGET)
VIDEO = DecodeSpec(is_video=True, target=TARGET, frames_per_second=2.0)


@dataclass
class Decoded:
    """What came out of one upload."""

    info: MediaInfo | None = None
    frames: list[Frame] = field(default_factory=list)
    photos: list[Frame] = field(default_factory=list)
    summary: DecodeSummary | None = None

    @property
    def times(self) -> list[float]:
        return [round(frame.pts_seconds, 3) for frame in self.frames]

    @property
    def levels(self) -> list[float]:
        """Mean grey of each frame's lower right half, see `tests.media.build.level_at`."""
        return [float(frame.pixels[130:, 130:].mean()) for frame in self.frames]

    def take(self, event: MediaInfo | Frame | StillPhoto | DecodeSummary) -> None:
        match event:
            case MediaInfo():
                self.info = event
            case Frame():
                self.frames.append(event)
            case StillPhoto():
                self.photos.append(event.frame)
            case DecodeSummary():
                self.summary = event

    def red_corner(self) -> str:
        """Where the red block of the first frame is: "top left" if the picture is upright."""
        pixels = self.frames[0].pixels.astype(int)
        rows, columns = np.nonzero(pixels[:, :, 0] - pixels[:, :, 1] > 100)
        high = "top" if rows.mean() < pixels.shape[0] / 2 else "bottom"
        return f"{high} {'left' if columns.mean() < pixels.shape[1] / 2 else 'right'}"


async def upload(job: DecodeJob, data: bytes, chunk_bytes: int) -> None:
    """Write all bytes; an error of the job ends it, and comes out of `events` as well."""
    with suppress(AssayError):
        for start in range(0, len(data), chunk_bytes):
            await job.write(data[start : start + chunk_bytes])
        await job.end()


async def decode(pool: DecodePool, source: str | bytes, spec: DecodeSpec, chunk_bytes: int = 65536) -> Decoded:
    """Decode a file of `tests.media.build` by its name, or the bytes given."""
    data = media(source).read_bytes() if isinstance(source, str) else source
    decoded = Decoded()
    async with pool.open(spec) as job, asyncio.TaskGroup() as group:
        group.create_task(upload(job, data, chunk_bytes))
        try:
            async for event in job.events():
                decoded.take(event)
        except AssayError as error:
            failure: AssayError | None = error
        else:
            failure = None
    if failure is not None:
        raise failure
    return decoded
