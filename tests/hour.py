"""Scores an hour-long video and one-minute ones with the whole stack, and shows what memory each took at its peak:
`python -m tests.hour` (`--minutes 60 --form direct --sampling fps:1`).

Each video gets a gateway and decode workers of its own, so that one peak does not hide the other. The peak of a minute
differs by some MiB from run to run, so the hour is held against the median of several minutes. With `--model scripted`
answers come at once from this process: an hour is then over in a minute, and gateway and worker are the same programs.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil
from numpy.typing import NDArray

from assay.cli.options import video_options
from assay.client import AsyncClient, Judgement, VideoOptions
from assay.stack import Stack
from assay.stack.program import Program
from assay.video import KeyFrames
from benchmarks.stack.running import running
from tests.gateway.serving import services
from tests.scripted_generator import ScriptedGenerator

WIDTH_PX, HEIGHT_PX, FRAMES_PER_SECOND = 320, 180, 5
SCENE_SECONDS = 10
MOST_GROWTH = 1.10
"""An hour may take so much more than a minute."""
ROOT = Path(__file__).parents[1]


def pictures(seconds: float, frames_per_second: int = FRAMES_PER_SECOND) -> Iterator[NDArray[np.uint8]]:
    """Blurred colours that drift, others every ten seconds, in some scenes darker or with noise."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX].astype(np.float32)
    for index in range(round(seconds * frames_per_second)):
        at_seconds = index / frames_per_second
        scene = np.random.default_rng(int(at_seconds / SCENE_SECONDS))
        waves, phases = scene.uniform(0.01, 0.08, (3, 2)), scene.uniform(0, 6, 3)
        level, contrast = scene.uniform(70, 170), scene.uniform(20, 70)
        channels = [
            level + contrast * np.sin(wave[0] * x + wave[1] * y + phase + at_seconds)
            for wave, phase in zip(waves, phases, strict=True)
        ]
        yield np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def write_video(path: Path, seconds: float, frames_per_second: int = FRAMES_PER_SECOND) -> None:
    """H.264 in MP4, playable from the first bytes, a key frame every two seconds."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as out:
        options = {"crf": "32", "preset": "ultrafast", "x264-params": f"keyint={2 * frames_per_second}:scenecut=0"}
        stream = out.add_stream("libx264", rate=frames_per_second, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures(seconds, frames_per_second):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


@dataclass
class Peaks:
    """Most resident memory of a gateway and of any of its decode workers, watched while something runs."""

    pid: int
    gateway_mib: float = 0.0
    worker_mib: float = 0.0
    _end: threading.Event = field(default_factory=threading.Event)

    @property
    def together_mib(self) -> float:
        return self.gateway_mib + self.worker_mib

    def __enter__(self) -> "Peaks":
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            is_last = self._end.wait(0.2)
            gateway = psutil.Process(self.pid)
            self.gateway_mib = max(self.gateway_mib, peak_mib(gateway.pid))
            self.worker_mib = max([self.worker_mib, *(peak_mib(child.pid) for child in gateway.children())])
            if is_last:
                return


def peak_mib(pid: int) -> float:
    """The kernel's own record of the most that was resident; 0 for a process that has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def gateway_pid(address: str) -> int:
    """Of the process that listens there."""
    port = int(address.rpartition(":")[2])
    for child in psutil.Process().children(recursive=True):
        for connection in child.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return child.pid
    raise RuntimeError(f"no process of ours listens at {address}")


@asynccontextmanager
async def nano(folder: Path) -> AsyncIterator[str]:
    """Address of a gateway before the whole stack with the checkpoint of the repository."""
    async with running(Stack(logs=folder / "logs")) as stack:
        yield stack.address


@asynccontextmanager
async def scripted(folder: Path, **settings: str) -> AsyncIterator[str]:
    """Address of a gateway before services in this process, whose model knows its answers."""
    async with services(_Forgetful()) as (extraction, scoring):
        addresses = {"GATEWAY_ATTRIBUTE_EXTRACTION": extraction, "GATEWAY_SCORING": scoring}
        wiring = {"GATEWAY_ADDRESS": "127.0.0.1:0", **addresses, **settings}
        program = Program("gateway", "gateway", wiring, ROOT, folder / "gateway.log")
        try:
            async with asyncio.timeout(60):
                while not program.address:  # noqa: ASYNC110 - it happens in another process
                    await asyncio.sleep(0.05)
            yield program.address
        finally:
            await asyncio.to_thread(program.stop, 10.0)


class _Forgetful(ScriptedGenerator):
    """An hour of clips would be half a gigabyte."""

    async def generate(self, clip, conversation, form):  # type: ignore[no-untyped-def, override]
        async for event in super().generate(clip, conversation, form):
            yield event
        self.asked.clear()
        self.clips.clear()


SERVED: dict[str, Callable[[Path], AbstractAsyncContextManager[str]]] = {"nano": nano, "scripted": scripted}


@dataclass(frozen=True)
class Run:
    """One video through a gateway of its own."""

    judgement: Judgement
    peaks: Peaks
    seconds: float


async def run(served: AbstractAsyncContextManager[str], path: Path, form: str, video: VideoOptions) -> Run:
    # A machine that stands still for a minute shall not end an hour's work.
    async with served as address, AsyncClient(address, timeout_seconds=7200, quiet_seconds=900) as client:
        start = time.monotonic()
        with Peaks(gateway_pid(address)) as peaks:
            judgement = await client.score(path, form=form, video=video)
        return Run(judgement, peaks, time.monotonic() - start)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the long video (default 60)")
    parser.add_argument("--short-runs", type=int, default=5, help="of the one-minute video (default 5)")
    parser.add_argument("--long-runs", type=int, default=1, help="of the long video (default 1)")
    parser.add_argument("--model", choices=SERVED, default="nano", help="what answers (default nano)")
    parser.add_argument("--form", default="direct", help="of the answers (default direct)")
    parser.add_argument("--sampling", default="", metavar="HOW:N")
    parser.add_argument("--key-frames", type=KeyFrames, metavar="exact|auto|only")
    parser.add_argument("--window", type=float, metavar="SECONDS")
    parser.add_argument("--hop", type=float, metavar="SECONDS")
    parser.add_argument("--keep-repeats", action="store_true")
    options = parser.parse_args()
    os.environ["GATEWAY_LIMITS__MAX_DURATION_SECONDS"] = str(60 * options.minutes + 60)
    os.environ["GATEWAY_UPLOAD__IDLE_SECONDS"] = "3600"
    video = video_options(
        options.sampling, options.key_frames, options.window, options.hop, keep_repeats=options.keep_repeats
    )
    peak_mib = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes, runs in ((1.0, options.short_runs), (options.minutes, options.long_runs)):
            path = Path(folder) / f"{minutes:g}.mp4"
            write_video(path, 60 * minutes)
            found = []
            for _ in range(runs):
                done = await run(SERVED[options.model](Path(folder)), path, options.form, video)
                found.append(done.peaks.together_mib)
                print(_line(minutes, path, done.judgement, done.peaks, done.seconds), flush=True)
            peak_mib.append(median(found))
    growth = peak_mib[1] / peak_mib[0]
    print(f"gateway and worker together, medians: {growth - 1:+.1%} (at most {MOST_GROWTH - 1:+.0%} is wanted)")
    return 0 if growth <= MOST_GROWTH else 1


def _line(minutes: float, path: Path, judgement: Judgement, peaks: Peaks, seconds: float) -> str:
    size = f"{minutes:5g} min {path.stat().st_size / 1e6:5.1f} MB"
    reported = [
        f"{size}: {len(judgement.windows):4d} windows in {seconds:6.1f} s",
        f"score {judgement.score.value:.2f}",
    ]
    for name, segment in (("worst", judgement.worst), ("best", judgement.best)):
        if segment:
            reported.append(f"{name} {segment.score.value:.2f} at {segment.start_seconds:.0f} s")
    reported += [f"PARTIAL: {judgement.partial.message}"] if judgement.partial else []
    return f"{', '.join(reported)}; peak MiB: gateway {peaks.gateway_mib:.1f}, decode worker {peaks.worker_mib:.1f}"


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
