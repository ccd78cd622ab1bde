"""`python -m benchmarks.memory --checkpoint checkpoints/nano`: is the engine's memory flat over ten thousand answers?

Every picture is another one, so that the caches are filled and evicted again; small ones, asked for the number
alone, so that it does not take a night. Each thousand prints what the process has resident; the command fails if
more is resident at the end than half-way, when the caches are full, by more than --most-growth-percent.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from assay.checkpoint import read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.form import Form
from assay.frame import Clip, Frame
from assay.generator import Conversation, Finished
from assay.prompt import answer_form, question


def resident_mib() -> float:
    """Of this process, now."""
    return float(psutil.Process().memory_info().rss) / 2**20


def late_growth(resident: Sequence[float]) -> float:
    """By what share the last is more than the one half-way, when caches are full."""
    return resident[-1] / resident[max(len(resident) // 2 - 1, 0)] - 1


def pictures(first: int, count: int, side_px: int) -> Iterator[Clip]:
    """Noise; the same picture for the same number, and no two alike."""
    for number in range(first, first + count):
        pixels = np.random.default_rng(number).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
        yield Clip((Frame(pixels),), is_video=False)


async def answer_all(engine: Engine, clips: Iterator[Clip], asks: Conversation, form: Form, in_flight: int) -> int:
    """How many were answered to their end."""

    async def some() -> int:
        finished = 0
        for clip in clips:
            async for event in engine.generate(clip, asks, form):
                finished += isinstance(event, Finished)
        return finished

    # All take from one iterator.
    return sum(await asyncio.gather(*(some() for _ in range(in_flight))))


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a thousand; 0 if the memory was flat."""
    options = _options(argv)
    served = read_checkpoint(options.checkpoint)
    asks, form = Conversation(question(served, "direct", is_video=False)), answer_form(served, "direct")
    engine = Engine.load(options.checkpoint, EngineOptions(threads=options.threads, cache_mib=options.cache_mib))
    resident = list[float]()
    try:
        for done in range(options.every, options.requests + 1, options.every):
            clips = pictures(done - options.every, options.every, options.side_px)
            answered = asyncio.run(answer_all(engine, clips, asks, form, in_flight=8))
            resident.append(resident_mib())
            counters = engine.counters
            held = counters.get("prefix_bytes", 0) + counters.get("frame_group_bytes", 0)
            evicted = counters.get("prefixes_evicted", 0) + counters.get("frame_groups_evicted", 0)
            print(
                f"{done:6,} asked, {answered:5,} of {options.every:,} answered, {resident[-1]:7.1f} MiB resident, "
                f"{held / 2**20:5.1f} MiB cached, {evicted:6,} evicted",
                flush=True,
            )
    finally:
        engine.close()
    growth = late_growth(resident)
    print(f"grew by {growth:.1%} in the second half (at most {options.most_growth_percent:g} % is called flat)")
    return 0 if 100 * growth <= options.most_growth_percent else 1


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=10_000, help="(default 10000)")
    parser.add_argument("--every", type=int, default=1_000, help="print after so many (default 1000)")
    parser.add_argument("--side-px", type=int, default=56, help="of a picture (default 56)")
    parser.add_argument("--cache-mib", type=int, default=64, help="size of the engine's caches (default 64)")
    parser.add_argument("--threads", type=int, default=1, help="of the engine (default 1)")
    parser.add_argument("--most-growth-percent", type=float, default=5.0, help="(default 5)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
