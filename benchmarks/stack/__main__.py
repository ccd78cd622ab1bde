"""`python -m benchmarks.stack --checkpoint checkpoints/nano`: what everything around the engine costs.

The same pictures are judged (regular form: early score, reasoning, reasoned score) by the engine alone in this process,
through Triton, and by the client through gateway, services and Triton. The rungs take turns; each turn has pictures of
its own. They have the size that the model takes, so that all three see the same pixels and must say the same.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from assay.checkpoint import read_checkpoint
from assay.client import AsyncClient
from assay.engine import Engine
from assay.stack import Stack
from assay.triton import TritonGenerator
from benchmarks.engine.workloads import asks
from benchmarks.stack.rungs import Judge, Measured, OfTenant, by_client, by_generator, measure

ALONE = "engine alone"
Found = dict[tuple[int, str], list[Measured]]


async def main(options: argparse.Namespace) -> int:
    """Measures and prints; 0, or 1 if a rung said something else than the engine alone."""
    served = read_checkpoint(options.checkpoint)
    engine = Engine.load(options.checkpoint, device="cpu")
    try:
        async with Stack(checkpoint=options.checkpoint, logs=options.runs) as stack:
            triton = TritonGenerator(stack.addresses["triton_server"], idle_timeout_seconds=600)
            async with AsyncClient(stack.address) as client:
                rungs = {
                    ALONE: by_generator(engine, served),
                    "through Triton": by_generator(OfTenant(triton, "through Triton"), served),
                    "whole stack": by_client(client),
                }
                found = await _rounds(options, rungs)
            await triton.close()
    finally:
        engine.close()
    print(table(found))
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
            clips = [ask.clip for ask in asks("image CoT", served, count, seed=1000 * (turn + 1) + in_flight)]
            for name in [*names[turn % len(names) :], *names[: turn % len(names)]]:
                measured = await measure(rungs[name], clips, in_flight)
                if turn >= 0:
                    found.setdefault((in_flight, name), []).append(measured)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], names.index(item[0][1]))))


def table(found: Found) -> str:
    """Markdown: medians, and how many times as long as the engine alone."""
    lines = ["| in flight | what | latency ms | x alone | pictures/s | x alone |", "|---|---|---|---|---|---|"]
    for (in_flight, name), some in found.items():
        alone = found[in_flight, ALONE]
        latency, alone_latency = (median(s for each in those for s in each.latencies) for those in (some, alone))
        rate, alone_rate = (median(len(each.judged) / each.seconds for each in those) for those in (some, alone))
        lines.append(
            f"| {in_flight} | {name} | {1e3 * latency:,.0f} | {latency / alone_latency:.2f} | {rate:.2f} "
            f"| {alone_rate / rate:.2f} |"
        )
    return "\n".join(lines)


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--in-flight", nargs="+", type=int, default=(1, 8), metavar="N", help="(default 1 8)")
    parser.add_argument("--rounds", type=int, default=5, help="that are counted (default 5)")
    parser.add_argument("--requests", type=int, default=4, help="of a round with one in flight (default 4)")
    parser.add_argument("--runs", type=Path, default=Path("runs/stack"), metavar="DIR", help="for logs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(options_of())))
