"""`python peer.py NAME`: one decoder in a process of its own, single-threaded; a line of JSON in, a line out.

Asked are a file, frames to sample in a second (0: every frame) and the (height, width) that the model gets; answers are
processor seconds (user and system, of all processes of this decoder) and how many frames came out.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    every: int
    """Of so many frames one is wanted."""
    frames_per_second: int
    frames: int
    height_px: int
    width_px: int


Decoder = Callable[[Asked], tuple[float, int]]


def ours(key_frames: str = "auto") -> Decoder:
    """The pool that serves: a locked worker, bytes in chunks as a client sends them, frames through shared memory."""
    from assay.frame import Frame
    from assay.video import KeyFrames
    from gateway.decode.jobs import DecodeJob, DecodePool
    from gateway.decode.spec import DecodeLimits, DecodeSpec, Target

    loop = asyncio.new_event_loop()
    pool = DecodePool(workers=1, spares=0)
    loop.run_until_complete(pool.start())

    async def send(job: DecodeJob, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_BYTES):
            await job.write(data[start : start + CHUNK_BYTES])
        await job.end()

    async def receive(asked: Asked, data: bytes) -> int:
        target = Target(min_pixels=56 * 56, max_pixels=448 * 448)
        rate = asked.frames_per_second / asked.every
        # Only processor time is compared: a busy machine shall not end it by the clock.
        limits = DecodeLimits(max_wall_seconds=3600.0)
        spec = DecodeSpec(
            is_video=True, target=target, frames_per_second=rate, limits=limits, key_frames=KeyFrames(key_frames)
        )
        frames = 0
        async with pool.open(spec) as job, asyncio.TaskGroup() as group:
            group.create_task(send(job, data))
            async for event in job.events():
                if isinstance(event, Frame):
                    assert (event.height_px, event.width_px) == (asked.height_px, asked.width_px)
                    frames += 1
        return frames

    def decode(asked: Asked) -> tuple[float, int]:
        (pid,) = pool.worker_pids

        def spent() -> float:
            return time.process_time() + time.clock_gettime(~pid << 3 | 2)  # Linux' number of a process's own clock

        start = spent()
        frames = loop.run_until_complete(receive(asked, Path(asked.path).read_bytes()))
        return spent() - start, frames

    return decode


def torchcodec() -> Decoder:
    """Resizes by a transform of its decoder; frames that are not wanted are left out as it sees fit."""
    import torch
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    torch.set_num_threads(1)

    def decode(asked: Asked) -> tuple[float, int]:
        start = time.process_time()
        resize = Resize((asked.height_px, asked.width_px))
        decoder = VideoDecoder(asked.path, num_ffmpeg_threads=1, transforms=[resize], dimension_order="NHWC")
        frames = decoder.get_frames_at(list(range(0, asked.frames, asked.every)))
        return time.process_time() - start, len(frames.data)

    return decode


def opencv() -> Decoder:
    """Every frame is grabbed, those that are wanted are converted and resized by area."""
    import cv2

    cv2.setNumThreads(1)

    def decode(asked: Asked) -> tuple[float, int]:
        start, taken = time.process_time(), 0
        capture = cv2.VideoCapture(asked.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        for index in range(asked.frames):
            if not capture.grab():
                break
            if index % asked.every == 0:
                _, whole = capture.retrieve()
                small = cv2.resize(whole, (asked.width_px, asked.height_px), interpolation=cv2.INTER_AREA)
                taken += len(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)) > 0
        capture.release()
        return time.process_time() - start, taken

    return decode


DECODERS: dict[str, Callable[[], Decoder]] = {
    "ours": ours,
    "ours, exact": partial(ours, "exact"),
    "torchcodec": torchcodec,
    "opencv": opencv,
}


def main(name: str) -> None:
    # What libraries print must not get between the lines.
    talk, sys.stdout = sys.stdout, sys.stderr
    decode = DECODERS[name]()
    print(json.dumps({"ready": True}), file=talk, flush=True)
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            seconds, frames = decode(Asked(**json.loads(line)))
            answer = {"cpu_seconds": seconds, "frames": frames}
        except Exception as problem:  # noqa: BLE001 - a decoder that cannot do a codec is a line of the table
            answer = {"failed": f"{type(problem).__name__}: {problem}"[:200]}
        print(json.dumps(answer), file=talk, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
