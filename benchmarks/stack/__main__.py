"""`OMP_WAIT_POLICY=PASSIVE python -m benchmarks.stack --checkpoint checkpoints/nano`: what all around the engine costs.

Without the variable, which Triton's environment has (triton_server/server.py), threads of the engine alone wait by
spinning, and it costs more than the same engine in the stack.

The same pictures are judged (regular form: early score, reasoning, reasoned score) by the engine alone in this process,
through Triton, and by the client through gateway, services and Triton. The rungs take turns; each turn has pictures of
its own. They have the size that the model takes, and a checkpoint that has small pictures enlarged first is served
without that, so that all three see the same pixels and must say the same.
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from assay.checkpoint import read_checkpoint
from assay.client import AsyncClient
from assay.engine import Engine, EngineOptions
from assay.stack import Stack
from assay.triton import TritonGenerator
from benchmarks.engine.workloads import asks
from benchmarks.stack.processor import Cpu, idle_rates
from benchmarks.stack.rungs import BenchmarkPicture, Judge, OfTenant, StackRun, by_client, by_generator, measure
from benchmarks.stack.running import running

ALONE = "engine alone"
Found = dict[tuple[int, str], list[StackRun]]


async def main(options: argparse.Namespace) -> int:
    """Measures and prints; 0, or 1 if a rung said something else than the engine alone."""
    with tempfile.TemporaryDirectory() as folder:
        options.checkpoint = as_they_are(options.checkpoint, Path(folder) / options.checkpoint.name)
        return await _measured(options)


def as_they_are(checkpoint: Path, copy: Path) -> Path:
    """The checkpoint in another folder, for which pictures of its own size are not enlarged first."""
    shutil.copytree(checkpoint, copy)
    settings = (copy / "assay.toml").read_text()
    (copy / "assay.toml").write_text(re.sub(r"(?m)^enlarge_first_pixels\b.*\n", "", settings))
    return copy


async def _measured(options: argparse.Namespace) -> int:
    served = read_checkpoint(options.checkpoint)
    engine = Engine.load(options.checkpoint, EngineOptions())
    try:
        async with running(Stack(checkpoint=options.checkpoint, logs=options.runs)) as stack:
            triton = TritonGenerator(stack.addresses["triton_server"], idle_timeout_seconds=600)
            async with AsyncClient(stack.address) as client:
                rungs = {
                    ALONE: by_generator(engine, served),
                    "through Triton": by_generator(OfTenant(triton, "through Triton"), served),
                    "whole stack": by_client(client),
                }
                idle = await asyncio.to_thread(idle_rates, options.idle_seconds)
                found = await _rounds(options, rungs)
            await triton.close()
    finally:
        engine.close()
    print(table(found))
    print(profile(found, idle))
    agree = all(
        each.agrees_with(alone)
        for (in_flight, _), some in found.items()
        for each, alone in zip(some, found[in_flight, ALONE], strict=True)
    )
    print("all of them said the same" if agree else "they did not all say the same")
    return 0 if agree else 1


async def _rounds(options: argparse.Namespace, rungs: dict[str, Judge]) -> Found:
    served, found, names = read_checkpoint(options.checkpoint), Found(), list(rungs)
    for turn in range(-1, options.rounds):
        # The first round warms up and is not counted.
        for in_flight in options.in_flight:
            count = max(options.requests, 2 * in_flight)
            seed = 1000 * (turn + 1) + in_flight
            asked = [BenchmarkPicture.of(ask.clip) for ask in asks("image CoT", served, count, seed=seed)]
            for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
                measured = await measure(rungs[name], asked, in_flight)
                if turn >= 0:
                    found.setdefault((in_flight, name), []).append(measured)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], names.index(item[0][1]))))


def table(found: Found) -> str:
    """Markdown: medians, and how many times as long as the engine alone."""
    heads = "in flight", "what", "latency ms", "x alone", "pictures/s", "x alone", "CPU ms each", "x alone"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (in_flight, name), some in found.items():
        alone = found[in_flight, ALONE]
        latency, alone_latency = (median(s for each in those for s in each.latencies) for those in (some, alone))
        rate, alone_rate = (median(len(each.judged) / each.seconds for each in those) for those in (some, alone))
        cpu, alone_cpu = (median(each.cpu_seconds / len(each.judged) for each in those) for those in (some, alone))
        lines.append(
            f"| {in_flight} | {name} | {1e3 * latency:,.0f} | {latency / alone_latency:.2f} | {rate:.2f} "
            f"| {alone_rate / rate:.2f} | {1e3 * cpu:,.0f} | {cpu / alone_cpu:.2f} |"
        )
    return "\n".join(lines)


def profile(found: Found, idle: Cpu) -> str:
    """Markdown: processor milliseconds a picture of every program, without what they take when nobody asks."""
    cells = {cell: _per_picture(some, idle) for cell, some in found.items()}
    programs = sorted(
        {name for cell in cells.values() for name in cell}, key=lambda name: -cells[max(cells)].get(name, 0.0)
    )
    lines = [
        f"| program | idle, ms/s | {' | '.join(f'{name}, {in_flight}' for in_flight, name in cells)} |",
        "|---" * (len(cells) + 2) + "|",
    ]
    for name in programs:
        row = " | ".join(f"{1e3 * cell.get(name, 0.0):,.1f}" for cell in cells.values())
        lines.append(f"| {name} | {1e3 * idle.get(name, 0.0):.1f} | {row} |")
    totals = {cell: sum(each.values()) for cell, each in cells.items()}
    lines.append(
        f"| all | {1e3 * sum(idle.values()):.1f} | {' | '.join(f'{1e3 * each:,.1f}' for each in totals.values())} |"
    )
    ratios = (f"{total / totals[in_flight, ALONE]:.2f}" for (in_flight, _), total in totals.items())
    return "\n".join([*lines, f"| x alone | | {' | '.join(ratios)} |"])


def _per_picture(rounds: Sequence[StackRun], idle: Cpu) -> dict[str, float]:
    """Seconds by program. Of all rounds together, as the kernel counts in hundredths."""
    count, took = sum(len(each.judged) for each in rounds), sum(each.seconds for each in rounds)
    spent = {name: sum(each.cpu.get(name, 0.0) for each in rounds) for each in rounds for name in each.cpu}
    return {name: (seconds - took * idle.get(name, 0.0)) / count for name, seconds in spent.items()}


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--in-flight", nargs="+", type=int, default=(1, 8), metavar="N", help="(default 1 8)")
    parser.add_argument("--rounds", type=int, default=5, help="that are counted (default 5)")
    parser.add_argument("--requests", type=int, default=4, help="of a round with one in flight (default 4)")
    parser.add_argument(
        "--idle-seconds", type=float, default=30.0, metavar="S", help="to watch the idle stack (default 30)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/stack"), metavar="DIR", help="for logs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(options_of())))
