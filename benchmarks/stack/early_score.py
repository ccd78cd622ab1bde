"""python -m benchmarks.stack.early_score: one new photo after another through the stack; when its early score came.

Prints a line a photo (share of the request's time, and when each kind of event first came) and the summary that
docs/speed.md quotes. The first two photos warm up and are not counted. With --stages every program sends its spans,
which costs a little, and it also prints when each stage began and ended.
"""

import argparse
import asyncio
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from PIL import Image

from assay.checkpoint import read_checkpoint
from assay.client import AsyncClient
from assay.stack import Stack
from benchmarks.engine.peers.process import processor_name
from benchmarks.engine.workloads import asks
from benchmarks.stack.running import running
from benchmarks.stack.spans import collecting, stages

_WARM_UP = 2
_ROOT = "/assay.v1.AssayService/StreamImage"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds after the request at which each was there."""

    started_seconds: float
    """The photo could be opened."""
    early_seconds: float
    grade_seconds: float
    whole_seconds: float

    def __str__(self) -> str:
        times = [1e3 * each for each in (self.started_seconds, self.early_seconds, self.grade_seconds)]
        words = "started {:.0f}, early score {:.0f}, first grade {:.0f}".format(*times)
        return f"at {self.early_seconds / self.whole_seconds:.0%}: {words}, whole {1e3 * self.whole_seconds:.0f} ms"


def summary(answers: Sequence[Timing]) -> str:
    """One sentence; ValueError if there are no answers."""
    before = sum(answer.early_seconds < answer.grade_seconds for answer in answers)
    shares = [answer.early_seconds / answer.whole_seconds for answer in answers]
    whole_ms = 1e3 * median(answer.whole_seconds for answer in answers)
    return (
        f"early score before the first grade in {before} of {len(answers)}; at {median(shares):.0%} of the request's "
        f"time in the median, {max(shares):.0%} at most; a request takes {whole_ms:.0f} ms"
    )


async def timed(client: AsyncClient, photo: bytes) -> Timing:
    """Of one photo, regular form. ValueError if it came without an early score or without a grade."""
    began = time.perf_counter()
    first: dict[str, float] = {}
    async for event in client.events(photo):
        first.setdefault(str(event.WhichOneof("event")), time.perf_counter() - began)
    if not {"started", "early_score", "attribute"} <= first.keys():
        raise ValueError(f"no early score or no grade among {sorted(first)}")
    return Timing(first["started"], first["early_score"], first["attribute"], time.perf_counter() - began)


async def run(checkpoint: Path, photos: int, *, with_stages: bool) -> None:
    if not with_stages:
        await _run(checkpoint, photos)
        return
    async with collecting() as collector:
        await _run(checkpoint, photos)
    print(stages(collector.spans, _ROOT, _WARM_UP))


async def _run(checkpoint: Path, photos: int) -> None:
    answers = []
    async with running(Stack(checkpoint=checkpoint)) as stack, AsyncClient(stack.address) as client:
        for ask in asks("image CoT", read_checkpoint(checkpoint), photos + _WARM_UP, seed=77):
            held = io.BytesIO()
            Image.fromarray(ask.clip.frames[0].pixels).save(held, "PNG")
            answers.append(await timed(client, held.getvalue()))
            print(f"{len(answers)} of {photos + _WARM_UP}: {answers[-1]}", flush=True)
    print(processor_name())
    print(summary(answers[_WARM_UP:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/nano"))
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--stages", action="store_true", help="print when each stage began and ended")
    options = parser.parse_args()
    asyncio.run(run(options.checkpoint, options.photos, with_stages=options.stages))


if __name__ == "__main__":
    main()
