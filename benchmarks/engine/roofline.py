"""`python -m benchmarks.engine.roofline`: how close our own forward comes to what the machine can do, stage by stage.

Random weights of a shape in float32: neither a checkpoint nor a tokeniser is needed, and nothing touches a disk.

    python -m benchmarks.engine.roofline --shape tiny

Stages are the tower over new pictures, the prompt, and short forwards of several answers at once; each is timed from
the call until its result is there, median of the rounds. A stage can take no less
than its sums at the peak or its bytes (weights once, keys and values, pixels) at the peak, whichever is longer: that is
the roofline, and `of it` says how near the stage is. Peaks that are not given are measured by a large product or copy.
`--against` also times transformers' generate writing what a reasoned answer has, and ours in as many forwards as ours
needs.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch

from benchmarks.engine.stages import ANSWER_FORWARDS, ANSWER_TOKENS, ROWS, SHAPES, Bench, Stage, random_model

WARM_UPS = 2
COLUMNS = ("stage", "what", "ms", "TFLOP/s", "of peak", "GB/s", "of peak", "roofline ms", "of it")


@dataclass(frozen=True, slots=True)
class Peaks:
    """What the machine can do at most."""

    tflops: float
    gbps: float

    def seconds(self, stage: Stage) -> float:
        """The roofline."""
        return max(stage.sums / self.tflops / 1e12, stage.moved_bytes / self.gbps / 1e9)


def seconds(once: Callable[[], object], rounds: int) -> float:
    """Median of so many, after some that are not counted."""
    spent = []
    for _ in range(WARM_UPS + rounds):
        began = time.perf_counter()
        once()
        spent.append(time.perf_counter() - began)
    return median(spent[WARM_UPS:])


def measured_peaks(dtype: torch.dtype = torch.float32) -> Peaks:
    """By one large product and one large copy, best of ten: less than what is advertised."""
    side, count = 1024, 1 << 26
    a, b = torch.randn(2, side, side).to(dtype)
    there, here = torch.empty(2, count, dtype=torch.uint8)
    products = [_timed(lambda: torch.mm(a, b)) for _ in range(10)]
    copies = [_timed(lambda: there.copy_(here)) for _ in range(10)]
    return Peaks(2 * side**3 / min(products) / 1e12, 2 * count / min(copies) / 1e9)


def _timed(once: Callable[[], object]) -> float:
    began = time.perf_counter()
    once()
    return time.perf_counter() - began


def row(stage: Stage, peaks: Peaks, rounds: int) -> str:
    """A line of the table."""
    spent = seconds(stage.once, rounds)
    tflops, gbps = stage.sums / spent / 1e12, stage.moved_bytes / spent / 1e9
    least = peaks.seconds(stage)
    return (
        f"| {stage.name} | {stage.what} | {1e3 * spent:,.2f} | {tflops:,.3g} | {tflops / peaks.tflops:.0%} "
        f"| {gbps:,.3g} | {gbps / peaks.gbps:.0%} | {1e3 * least:,.2f} | {least / spent:.0%} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    measured = measured_peaks()
    peaks = Peaks(options.peak_tflops or measured.tflops, options.peak_gbps or measured.gbps)
    bench = Bench(random_model(SHAPES[options.shape]()), options.side, options.frames)
    print(f"shape {options.shape}, random weights, float32, CPU, {options.frames} x {options.side} px square")
    print(f"roofline {peaks.tflops:,.3g} TFLOP/s, {peaks.gbps:,.4g} GB/s", end="; ")
    print(f"measured here {measured.tflops:,.3g} TFLOP/s, {measured.gbps:,.4g} GB/s")
    print("| " + " | ".join(COLUMNS) + " |" + "\n|---" + "|---" * (len(COLUMNS) - 1) + "|")
    stages: list[Callable[[], Stage]] = [bench.vision, partial(bench.prefill, WARM_UPS + options.rounds)]
    stages += [partial(bench.decode, sequences, ROWS) for sequences in options.in_flight]
    for stage in stages:
        print(row(stage(), peaks, options.rounds), flush=True)
    if options.against:
        ours, theirs = seconds(bench.answer, options.rounds), seconds(bench.generated, options.rounds)
        print(
            f"a reasoned answer, 1 in flight: ours {1e3 * ours:,.0f} ms in {ANSWER_FORWARDS} short forwards;", end=" "
        )
        print(f"transformers' generate {1e3 * theirs:,.0f} ms in {ANSWER_TOKENS}; {theirs / ours:.2f} times ours")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--peak-tflops", type=float, help="of the machine, in float32; measured if not given")
    parser.add_argument("--peak-gbps", type=float, help="of its memory; measured if not given")
    parser.add_argument("--side", type=int, default=448, help="of the pictures, in pixels; a multiple of 28")
    parser.add_argument("--frames", type=int, default=1, help="of a clip; 1 is a picture")
    parser.add_argument("--in-flight", type=int, nargs="+", default=(1, 8, 32))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--against", action="store_true", help="time transformers' generate as well")
    return parser


if __name__ == "__main__":
    main()
