"""`python -m benchmarks.engine --checkpoint checkpoints/nano`: our engine and others on the same requests.

Every round has pictures of its own, the same for all engines, which take turns; the table has medians over rounds, and
how far each is from ours (or from --against). Texts are compared with ours, request by request. A short run, and what
our forms give on vLLM, compared with a regular expression there:

    python -m benchmarks.engine --checkpoint checkpoints/nano --rounds 3 --engines ours transformers vllm
    python -m benchmarks.engine --checkpoint checkpoints/nano --rounds 3 --in-flight 8 --workloads "image CoT" \
        --engines "ours on vllm" vllm --against "ours on vllm"

Peers that take pictures only are left out of the workloads with clips, those that cannot be installed or started are
named with their last words. vLLM and OpenVINO get environments of their own below --environments, the first time.

Each measurement prints how far the run is and how long the rest will take. With --minutes no round is begun that would
end later, going by those before it; one is always counted.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from assay.checkpoint import read_checkpoint
from benchmarks.engine.batch import write_batch
from benchmarks.engine.peers.process import Measured, PeerProcess, Unavailable, command_of, processor_name
from benchmarks.engine.plot import Cell, plot
from benchmarks.engine.progress import RoundsProgress
from benchmarks.engine.workloads import NAMES, asks

PICTURES_ONLY = ("vllm", "vllm ngram", "vllm bf16", "vllm ngram bf16", "openvino", "openvino bf16", "openvino int8")
ENGINES = ("ours", "ours, uncached", "ours, stored", "ours, int8", "ours on vllm", "transformers", *PICTURES_ONLY)
"""Peers compute in float32, or in bfloat16 where their name ends in bf16: which is better depends on the processor."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and prints; 0, or 1 if no peer could be measured."""
    options = _options(argv)
    options.runs.mkdir(parents=True, exist_ok=True)
    print(processor_name(), file=sys.stderr)
    engines = list(_started(options))
    found: dict[Cell, list[Measured]] = {}
    progress = RoundsProgress(_requests(options, engines), options.rounds + 1, 60.0 * options.minutes, time.monotonic())
    try:
        for turn in range(-1, options.rounds):
            # The first round warms up and is not counted.
            for cell, measured in _round(options, engines, turn):
                what = "{}, {} in flight, {}".format(*cell)
                print(progress.after(what, len(measured.texts), time.monotonic()), file=sys.stderr, flush=True)
                if turn >= 0:
                    found.setdefault(cell, []).append(measured)
            print(f"round {turn + 1} of {options.rounds}\n{table(found, options.against)}", file=sys.stderr)
            if turn >= 0 and progress.is_late(turn + 2, time.monotonic()):
                print(f"{turn + 1} of {options.rounds} rounds: no more in {options.minutes:g} minutes", file=sys.stderr)
                break
    finally:
        for engine in engines:
            engine.close()
    print(f"{processor_name()}\n\n{table(found, options.against)}")
    if options.plot:
        plot(found, options.plot, options.caption)
    return 0 if len(engines) > 1 else 1


def table(found: dict[Cell, list[Measured]], against: str = "ours") -> str:
    """Markdown: medians, ratios to the engine that the others are compared with (above 1: that one is better) and the
    share of texts that are the same as its."""
    heads = (
        *("workload", "in flight", "engine", "latency ms", f"x {against}", "requests/s", f"{against} x"),
        *("CPU ms each", f"x {against}"),
    )
    lines = [f"| {' | '.join(heads)} | same text |", "|---" * (len(heads) + 1) + "|"]
    for (workload, in_flight, name), rounds in found.items():
        ours = found.get((workload, in_flight, against), rounds)
        latency, ours_latency = (median(s for each in some for s in each.latencies) for some in (rounds, ours))
        rate, ours_rate = (median(len(each.texts) / each.seconds for each in some) for some in (rounds, ours))
        cpu, ours_cpu = (median(each.cpu_seconds / len(each.texts) for each in some) for some in (rounds, ours))
        pairs = [pair for a, b in zip(rounds, ours, strict=True) for pair in zip(a.texts, b.texts, strict=True)]
        same = sum(mine == theirs for mine, theirs in pairs)
        lines.append(
            f"| {workload} | {in_flight} | {name} | {1e3 * latency:,.0f} | {latency / ours_latency:.2f} | {rate:.2f} "
            f"| {ours_rate / rate:.2f} | {1e3 * cpu:,.0f} | {cpu / ours_cpu:.2f} | {same} of {len(pairs)} |"
        )
    return "\n".join(lines)


def _round(options: argparse.Namespace, engines: Sequence[PeerProcess], turn: int) -> Iterator[tuple[Cell, Measured]]:
    served = read_checkpoint(options.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        for workload in options.workloads:
            for in_flight in options.in_flight:
                count = _count(options, in_flight)
                # No two cells show the same pictures, or what is cached of one would answer for the other.
                seed = 1000 * (turn + 1) + 100 * NAMES.index(workload) + in_flight
                requests = asks(workload, served, count, seed, options.side_px)
                batch = write_batch(Path(folder) / "batch.json", requests)
                # Who comes first changes from round to round.
                for engine in [*engines[turn % len(engines) :], *engines[: turn % len(engines)]]:
                    if _takes(engine.name, workload):
                        yield (workload, in_flight, engine.name), engine.answer(batch, in_flight)


def _count(options: argparse.Namespace, in_flight: int) -> int:
    """Requests of one measurement."""
    return int(options.requests if in_flight == 1 else max(options.requests, 2 * in_flight))


def _takes(name: str, workload: str) -> bool:
    return workload.startswith("image") or name not in PICTURES_ONLY


def _requests(options: argparse.Namespace, engines: Sequence[PeerProcess]) -> int:
    """Of one round, all engines'."""
    asked = [engine.name for engine in engines for workload in options.workloads if _takes(engine.name, workload)]
    return len(asked) * sum(_count(options, in_flight) for in_flight in options.in_flight)


def _started(options: argparse.Namespace) -> Iterator[PeerProcess]:
    for name in options.engines:
        try:
            command = command_of(name, options.checkpoint, options.threads, options.environments)
            yield PeerProcess(name, command, options.runs / f"{name.replace(', ', '-').replace(' ', '-')}.log")
        except Unavailable as why:
            print(f"left out: {why}", file=sys.stderr)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES, metavar="NAME", help=str(ENGINES))
    parser.add_argument(
        "--against",
        choices=ENGINES,
        default="ours",
        metavar="NAME",
        help="the one that others are compared with (default ours)",
    )
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=str(NAMES))
    parser.add_argument("--in-flight", nargs="+", type=int, default=(1, 8, 32), metavar="N", help="(default 1 8 32)")
    parser.add_argument("--rounds", type=int, default=5, help="that are counted (default 5)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no round that ends later")
    parser.add_argument("--requests", type=int, default=4, help="of a round with one in flight (default 4)")
    parser.add_argument("--side-px", type=int, help="of the pictures, a multiple of 28 (default: the checkpoint's)")
    parser.add_argument("--threads", type=int, default=2, help="of each engine (default 2)")
    runs = Path("runs/engine")
    parser.add_argument("--runs", type=Path, default=runs, metavar="DIR", help=f"for logs (default {runs})")
    parser.add_argument("--environments", type=Path, default=runs / "env", metavar="DIR", help="of peers")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="throughput against latency, as .png or .svg")
    parser.add_argument("--caption", default="", help="below the plot: on what it was measured, and when")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
