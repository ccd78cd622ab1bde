"""`python -m benchmarks.growth`: what a request costs as what is asked grows, as a plot with the machine's roofline.

CPU time of one engine on one thread against a picture's pixels, a clip's frames, live windows, an answer's length,
requests in flight, and hours of a video, after each part of which memory is read as well. The fitted line (for
pixels a parabola, as every patch attends to every other) is drawn with the roofline: no weight can be multiplied faster
than this machine's one core multiplies a large matrix in the same number format, measured first.

    python -m benchmarks.growth --plot growth.png --minutes 6

Fails if memory grew by more than --most-growth-percent in the second half of the hours; the caches are full after one.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch

from assay.checkpoint import read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.engine.model.loading import load_model
from benchmarks.engine.peers.process import processor_name
from benchmarks.engine.progress import RoundsProgress
from benchmarks.engine.roofline import measured_peaks
from benchmarks.engine.stages import ModelSums
from benchmarks.growth.measure import HOUR_PARTS, GrowthPoint, HourPoint, Meter, fit
from benchmarks.growth.plot import plot
from benchmarks.growth.sweeps import SWEEPS
from benchmarks.memory.__main__ import late_growth

Found = dict[str, list[GrowthPoint]]
"""GrowthSweep to its sizes in their order."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table and draws the plot; 0, or 1 if the memory grew."""
    options = _options(argv)
    torch.set_num_threads(1)
    began = time.monotonic()
    print(processor_name(), file=sys.stderr)
    engine = Engine.load(
        options.checkpoint,
        EngineOptions(threads=1, max_in_flight=max(SWEEPS["in flight"].sizes), cache_mib=64),
    )
    try:
        meter = _meter(engine, options.checkpoint)
        found = _rounds(meter, options, began)
        hours = _hours(meter, options.hours) if options.hours else []
    finally:
        engine.close()
    where = f"{processor_name()}, one thread, {engine.checkpoint_fingerprint}"
    print(f"{where}\n{meter.peaks.tflops:.3g} TFLOP/s, {meter.peaks.gbps:.3g} GB/s\n\n{table(found, hours)}")
    if options.plot:
        plot(found, hours, options.plot, f"{where}, {options.caption}".rstrip(", "))
    if not hours:
        return 0
    growth = late_growth([each.resident_mib for each in hours])
    print(f"memory grew by {growth:.1%} in the second half ({options.most_growth_percent:g} % is called flat)")
    return int(100 * growth > options.most_growth_percent)


def table(found: Mapping[str, Sequence[GrowthPoint]], hours: Sequence[HourPoint]) -> str:
    """Markdown: the ends of each sweep, the fitted curve and the roofline's."""
    heads = "grows", "x", "from", "to", "CPU ms", "fitted", "R²", "roofline", "times the roofline"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, points in found.items():
        sweep, first, last = SWEEPS[name], points[0], points[-1]
        amounts = [each.amount for each in points]
        through = fit(amounts, [each.cpu_ms for each in points], sweep.degree)
        floor = fit(amounts, [each.least_ms for each in points], sweep.degree)
        lines.append(
            f"| {name} | {sweep.unit} | {first.amount:.3g} | {last.amount:.3g} | {first.cpu_ms:,.0f} to "
            f"{last.cpu_ms:,.0f} | {through} | {through.determination:.3f} | {floor} | "
            f"{last.cpu_ms / last.least_ms:.1f} |"
        )
    if hours:
        at, end = [each.hours for each in hours], hours[-1]
        through = fit(at, [1e3 * each.cpu_seconds for each in hours])
        floor = fit(at, [1e3 * each.least_seconds for each in hours])
        lines.append(
            f"| hours | hours of a video of small frames | {at[0]:.3g} | {at[-1]:.3g} | "
            f"{1e3 * hours[0].cpu_seconds:,.0f} to {1e3 * end.cpu_seconds:,.0f} | {through} | "
            f"{through.determination:.3f} | {floor} | {end.cpu_seconds / end.least_seconds:.1f} |"
        )
    return "\n".join(lines)


def _meter(engine: Engine, checkpoint: Path) -> Meter:
    is_bfloat16 = engine.checkpoint_fingerprint.endswith("-bfloat16")
    peaks = measured_peaks(torch.bfloat16 if is_bfloat16 else torch.float32)
    sums = ModelSums(load_model(checkpoint).model)
    return Meter(engine, read_checkpoint(checkpoint), sums, peaks, weight_bytes=2 if is_bfloat16 else 4)


def _rounds(meter: Meter, options: argparse.Namespace, began: float) -> Found:
    sizes = [(name, size) for name in options.sweeps for size in SWEEPS[name].sizes[: options.sizes]]
    each: dict[tuple[str, int], list[GrowthPoint]] = {cell: [] for cell in sizes}
    work = {cell: cell[1] if SWEEPS[cell[0]].are_together or cell[0] == "windows" else 2 for cell in sizes}
    progress = RoundsProgress(sum(work.values()), options.rounds + 1, 60.0 * options.minutes, began)
    for turn in range(-1, options.rounds):
        # The first round warms up and is not counted.
        for place, (name, size) in enumerate(sizes):
            point = meter.point(SWEEPS[name], size, seed=1000 * (turn + 2) + place)
            said = progress.after(f"{name}, {point.amount:.3g}", work[name, size], time.monotonic())
            print(said, file=sys.stderr, flush=True)
            if turn >= 0:
                each[name, size].append(point)
        if turn >= 0 and progress.is_late(turn + 2, time.monotonic()):
            print(f"{turn + 1} of {options.rounds} rounds: no more in {options.minutes:g} minutes", file=sys.stderr)
            break
    found = Found()
    for (name, _), points in each.items():
        found.setdefault(name, []).append(_middle(points))
    return found


def _middle(points: Sequence[GrowthPoint]) -> GrowthPoint:
    return GrowthPoint(
        median(each.amount for each in points),
        median(each.cpu_ms for each in points),
        median(each.least_ms for each in points),
    )


def _hours(meter: Meter, hours: float) -> list[HourPoint]:
    found, began = list[HourPoint](), time.monotonic()
    for point in meter.hours(hours):
        found.append(point)
        left_minutes = (time.monotonic() - began) / len(found) * (HOUR_PARTS - len(found)) / 60
        said = f"{point.hours:.3g} of {hours:g} hours, {left_minutes:.1f} min left: {point.resident_mib:.0f} MiB"
        print(said, file=sys.stderr, flush=True)
    return found


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    nano = Path("checkpoints/nano")
    parser.add_argument("--checkpoint", type=Path, default=nano, metavar="DIR", help=f"(default {nano})")
    parser.add_argument(
        "--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS), metavar="NAME", help=f"{[*SWEEPS]}"
    )
    parser.add_argument("--sizes", type=int, metavar="N", help="of each sweep only the first so many")
    parser.add_argument("--rounds", type=int, default=3, help="that are counted (default 3)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no round that ends later")
    parser.add_argument("--hours", type=float, default=3.0, help="of a video of small frames; 0: none (default 3)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="as .png or .svg")
    parser.add_argument("--caption", default="", help="below the plot: when it was measured")
    parser.add_argument("--most-growth-percent", type=float, default=5.0, help="of memory (default 5)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
