"""`python -m benchmarks.precision CHECKPOINT` in vLLM's environment: what batch-mates and rounding do to decisions.

The same question about crops of the demo photo is answered by assay.vllm alone and eight at a time, in float32 and in
bfloat16. Printed: how far probabilities move, and how many decisions change, of those that both runs come to with the
same text in front of them.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from assay.checkpoint import read_checkpoint
from assay.generator import Chose, Event, NumberWritten, Wrote
from assay.vllm.engine import VllmEngine
from assay.vllm.messages import VllmOptions
from benchmarks.engine.workloads import asks

PRECISIONS = ("float32", "bfloat16")
Decision = tuple[str, str, dict[Any, float]]
"""The text in front of it, what was decided, and the probabilities."""
Answer = list[Decision]


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--count", type=int, default=16, help="pictures (default 16)")
    options = parser.parse_args(argv)
    answers = {precision: _answers(options.checkpoint, precision, options.count) for precision in PRECISIONS}
    pairs = {f"{precision}, alone and with seven others": answers[precision] for precision in PRECISIONS} | {
        "float32 and bfloat16, both alone": (answers["float32"][0], answers["bfloat16"][0])
    }
    print("| compared | decisions | changed | mean difference | largest |\n|---|---|---|---|---|")
    for name, (one, other) in pairs.items():
        compared = list(_compared(one, other))
        moved = [difference for _, difference in compared]
        changed = sum(not is_same for is_same, _ in compared)
        print(f"| {name} | {len(compared)} | {changed} | {np.mean(moved):.1e} | {max(moved):.1e} |")


def _answers(checkpoint: Path, precision: str, count: int) -> tuple[list[Answer], list[Answer]]:
    """Alone, and eight at a time; the second time as another tenant, so that nothing is found in a cache."""
    with tempfile.TemporaryDirectory() as folder:
        directory = shutil.copytree(checkpoint, Path(folder) / "checkpoint")
        config = json.loads((directory / "config.json").read_text())
        for part in (config, config.get("text_config") or {}):
            part.pop("torch_dtype", None)
            part["dtype"] = precision
        (directory / "config.json").write_text(json.dumps(config))
        engine = VllmEngine.load(directory, VllmOptions(max_in_flight=8, max_waiting=64, max_model_tokens=2048))
        try:
            alone, together = (asyncio.run(_ask(engine, directory, count, size)) for size in (1, 8))
            return alone, together
        finally:
            engine.close()


async def _ask(engine: VllmEngine, checkpoint: Path, count: int, together: int) -> list[Answer]:
    places = asyncio.Semaphore(together)

    async def one(ask: Any) -> Answer:
        async with places:
            asked = replace(ask.conversation, tenant=str(together))
            return list(_decisions([event async for event in engine.generate(ask.clip, asked, ask.form)]))

    wanted = asks("image CoT", read_checkpoint(checkpoint), count, seed=7)
    return await asyncio.gather(*map(one, wanted))


def _decisions(events: Sequence[Event]) -> Iterator[Decision]:
    text = ""
    for event in events:
        if isinstance(event, Wrote):
            text += event.text
        elif isinstance(event, Chose):
            yield text.removesuffix(event.option), event.option, dict(event.probabilities)
        elif isinstance(event, NumberWritten):
            flat = {(prefix, n): p for prefix, shares in event.by_prefix.items() for n, p in enumerate(shares)}
            yield text.removesuffix(event.written), event.written, flat


def _compared(one: Sequence[Answer], other: Sequence[Answer]) -> Iterator[tuple[bool, float]]:
    """Of each decision whether it is the same, and how far its probabilities are apart at most."""
    for mine, theirs in zip(one, other, strict=True):
        for (text, said, before), (also_text, also_said, after) in zip(mine, theirs, strict=True):
            if text == also_text:
                both = before.keys() & after.keys()
                yield said == also_said, max(abs(before[key] - after[key]) for key in both)


if __name__ == "__main__":
    main()
