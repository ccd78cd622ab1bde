"""What it costs to reach the frames of a sample, by every way there is: `python -m tests.media.sampling_cost`.

One H.264 video per distance between key frames; processor time in this process, best of the rounds. `linear` decodes
every frame; `exact` passes over what lies in front of the last key frame; `auto` also lets a key frame in the first
half of a slot stand for it; `only` decodes key frames alone; `seek` is exact by seeking in a spooled file.
"""

import argparse
import io
import itertools
import time
from collections.abc import Callable
from functools import partial

import av
import numpy as np

from gateway.decode.spec import DecodeSpec, Target
from gateway.decode.worker.reader import UploadReader
from gateway.decode.worker.video import decode_video
from tests.media.film import film

SIZE = (640, 360)
FRAMES_PER_SECOND = 25
RATES = (2.0, 1.0, 0.5, 0.25, 0.1)
WAYS = ("linear", "exact", "auto", "only", "seek")
TARGET = Target(38_416, 50_176)


def video(seconds: float, key_frame_seconds: float) -> bytes:
    """Noise that drifts, so that every frame has something to decode."""
    noise = np.random.default_rng(3).integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    large = noise.repeat(8, 0).repeat(8, 1)
    pictures = (np.roll(large, (3 * i, 5 * i), (0, 1)) for i in range(round(seconds * FRAMES_PER_SECOND)))
    every = round(key_frame_seconds * FRAMES_PER_SECOND)
    return film(pictures, frames_per_second=FRAMES_PER_SECOND, key_frame_every=every, size=SIZE)


def by_worker(data: bytes, rate: float, way: str) -> int:
    """As a decode worker does it; the number of frames sampled."""
    key_frames, threshold = ("auto", 1e9) if way == "linear" else (way, 0.0)
    spec = DecodeSpec(True, TARGET, rate, key_frames=key_frames, key_frames_from_seconds=threshold)
    chunks = itertools.chain((data[i : i + (1 << 18)] for i in range(0, len(data), 1 << 18)), itertools.repeat(b""))
    upload = UploadReader(chunks.__next__, len(data))
    *_, summary = decode_video(upload, "mp4", spec)
    return summary.frames_sampled


def by_seeking(data: bytes, rate: float) -> int:
    """Where the wanted time is behind the next key frame, seek to the key frame before it; else decode on."""
    taken, wanted = 0, 0.0
    with av.open(io.BytesIO(data)) as media:
        stream = media.streams.video[0]
        stream.thread_count = 1
        frames = media.decode(stream)
        while frame := next(frames, None):
            if frame.time >= wanted - 1e-6:
                frame.reformat(width=280, height=168, format="rgb24").to_ndarray()
                taken += 1
                wanted = (int(frame.time * rate + 1e-6) + 1) / rate
                media.seek(int(wanted / stream.time_base), stream=stream, backward=True)
                frames = media.decode(stream)
    return taken


def cost_ms(work: Callable[[], int], rounds: int) -> tuple[float, int]:
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        taken = work()
        spent.append(time.process_time() - start)
    return 1000 * min(spent), taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="length of the videos (default 40)")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(f"{SIZE[0]}x{SIZE[1]}, {FRAMES_PER_SECOND} fps, {options.seconds:g} s; CPU ms (frames sampled)")
    for key_frame_seconds in (1.0, 2.0, 10.0):
        data = video(options.seconds, key_frame_seconds)
        print(f"a key frame every {key_frame_seconds:g} s, {len(data) / 1e6:.1f} MB")
        print(f"  {'frames per second':>18}" + "".join(f"{way:>14}" for way in WAYS))
        for rate in RATES:
            cells = "".join(f"{_cell(data, rate, way, options.rounds):>14}" for way in WAYS)
            print(f"  {rate:>18g}{cells}", flush=True)


def _cell(data: bytes, rate: float, way: str, rounds: int) -> str:
    work = partial(by_seeking, data, rate) if way == "seek" else partial(by_worker, data, rate, way)
    spent, taken = cost_ms(work, rounds)
    return f"{spent:8.0f} ({taken:3d})"


if __name__ == "__main__":
    main()
