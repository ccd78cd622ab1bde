"""`python -m benchmarks.engine.replicas --checkpoint checkpoints/nano`: engines on a core each, next to one alone.

Every engine is a process of its own on one thread, bound to one core. One alone and all of them at once take turns;
every batch has pictures of its own, and each engine has as much to do as the one alone. Nothing else may run on these
cores: the table says how busy the machine was.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from assay.checkpoint import read_checkpoint
from benchmarks.engine.batch import Batch, write_batch
from benchmarks.engine.peers.process import Measured, PeerProcess, command_of, processor_name
from benchmarks.engine.workloads import NAMES, asks

Found = dict[tuple[str, int], list[Measured]]
"""Workload and engines at work, to what all of them did in each round."""


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a workload and number of engines; 0, or 1 if there are fewer cores than engines."""
    options = _options(argv)
    cores = sorted(os.sched_getaffinity(0))[: options.replicas]
    if len(cores) < options.replicas:
        print(f"{options.replicas} engines need a core each, and there are {len(cores)}", file=sys.stderr)
        return 1
    options.runs.mkdir(parents=True, exist_ok=True)
    command = command_of("ours", options.checkpoint, 1, options.runs)
    engines = [
        PeerProcess(f"replica {core}", ["taskset", "-c", str(core), *command], options.runs / f"replica-{core}.log")
        for core in cores
    ]
    found: Found = {}
    try:
        for turn in range(-1, options.rounds):
            # The first round warms up and is not counted.
            for workload in options.workloads:
                for some in (engines[:1], engines):
                    measured = _measured(options, some, workload, turn)
                    if turn >= 0:
                        found.setdefault((workload, len(some)), []).append(measured)
            print(f"round {turn + 1} of {options.rounds}\n{table(found)}", file=sys.stderr, flush=True)
    finally:
        for engine in engines:
            engine.close()
    print(f"{processor_name()}\n\n{table(found)}")
    return 0


def table(found: Found) -> str:
    """Markdown: medians of rounds, and how many times as many requests a second as one engine answers."""
    heads = "workload", "engines", "requests/s", "times one", "CPU ms each"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (workload, engines), rounds in found.items():
        rate, alone = (median(len(each.texts) / each.seconds for each in some) for some in (rounds, found[workload, 1]))
        cpu_ms = 1e3 * median(each.cpu_seconds / len(each.texts) for each in rounds)
        lines.append(f"| {workload} | {engines} | {rate:.2f} | {rate / alone:.2f} | {cpu_ms:,.0f} |")
    return "\n".join(lines)


def at_once(engines: Sequence[PeerProcess], batches: Sequence[Batch], in_flight: int) -> Measured:
    """A batch for each engine, all at the same time; seconds until the last has ended."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(engines)) as pool:
        answers = [*pool.map(lambda engine, batch: engine.answer(batch, in_flight), engines, batches)]
    return Measured(
        time.perf_counter() - began,
        [latency for each in answers for latency in each.latencies],
        [text for each in answers for text in each.texts],
        sum(each.cpu_seconds for each in answers),
    )


def _measured(options: argparse.Namespace, engines: Sequence[PeerProcess], workload: str, turn: int) -> Measured:
    served = read_checkpoint(options.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        batches = []
        for place in range(len(engines)):
            seed = 1000 * (turn + 1) + 100 * NAMES.index(workload) + 10 * len(engines) + place
            requests = asks(workload, served, options.requests, seed)
            batches.append(write_batch(Path(folder) / f"{place}.json", requests))
        return at_once(engines, batches, options.in_flight)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine.replicas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--replicas", type=int, default=2, help="engines, of a core each (default 2)")
    chosen = ("image CoT", "image direct")
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=chosen, metavar="NAME", help=str(NAMES))
    parser.add_argument("--in-flight", type=int, default=8, metavar="N", help="in each engine (default 8)")
    parser.add_argument("--requests", type=int, default=24, help="of each engine in a round (default 24)")
    parser.add_argument("--rounds", type=int, default=3, help="that are counted (default 3)")
    parser.add_argument("--runs", type=Path, default=Path("runs/engine"), metavar="DIR", help="for logs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
