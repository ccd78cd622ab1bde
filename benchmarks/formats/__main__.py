"""`python -m benchmarks.formats --checkpoint checkpoints/nano --manifest runs/held_out/manifest.csv`: number formats.

How far scores move from those of the stored numbers in each format, on photos that training never saw (`python -m
evaluation held-out` writes them), how well they agree with people, and what a direct answer costs of the processor. A
format that keeps within both limits may stand in the table of assay/engine/model/number_format.py.
"""

import argparse
import asyncio
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import get_args

import numpy as np
from PIL import Image
from scipy.stats import spearmanr

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.engine.model.number_format import NumberFormat
from assay.frame import Clip, Frame
from benchmarks.engine.peers.process import processor_name
from benchmarks.stack.rungs import BenchmarkPicture, by_generator
from services.scoring.score import EarlyScore, score_clip
from training.framing import served

MAX_MEAN, MAX_LARGEST = 0.03, 0.15
"""How far scores may move, on average and at most."""


@dataclass(frozen=True, slots=True)
class Scored:
    """All photos in one format."""

    direct: list[float]
    final: list[float]
    """Half direct, half after the reasoning."""
    texts: list[str]
    direct_cpu_ms: float
    """Of one answer, the median."""


async def main(options: argparse.Namespace) -> int:
    """Measures and prints; 0."""
    checkpoint = read_checkpoint(options.checkpoint)
    clips, people = _photos(options.manifest, options.photos, checkpoint)
    scored: dict[NumberFormat, Scored] = {}
    for name in ("stored", *(each for each in options.formats if each != "stored")):
        scored[name] = await _scored(options.checkpoint, checkpoint, name, clips)
        print(table(scored, people), file=sys.stderr, flush=True)
    print(f"{processor_name()}; {len(clips)} photos\n\n{table(scored, people)}")
    return 0


def table(scored: dict[NumberFormat, Scored], people: Sequence[float]) -> str:
    """Markdown: how far scores moved, and the rank correlation with people's."""
    heads = "format", "CPU ms, direct", "direct: mean, most", "final: mean, most", "same words", "SRCC direct, final"
    lines = [f"| {' | '.join(heads)} | within limits |", "|---" * (len(heads) + 1) + "|"]
    stored = scored["stored"]
    for name, each in scored.items():
        moves = _moves(each.direct, stored.direct), _moves(each.final, stored.final)
        is_within = all(mean(some) <= MAX_MEAN and max(some) <= MAX_LARGEST for some in moves)
        moved = " | ".join(f"{mean(some):.4f}, {max(some):.3f}" for some in moves)
        same = sum(mine == theirs for mine, theirs in zip(each.texts, stored.texts, strict=True))
        agreement = ", ".join(f"{spearmanr(some, people).statistic:.4f}" for some in (each.direct, each.final))
        lines.append(
            f"| {name} | {each.direct_cpu_ms:.0f} | {moved} | {same} of {len(people)} | {agreement} "
            f"| {'yes' if is_within else 'no'} |"
        )
    return "\n".join(lines)


def _moves(scores: Sequence[float], stored: Sequence[float]) -> list[float]:
    return [abs(mine - theirs) for mine, theirs in zip(scores, stored, strict=True)]


async def _scored(directory: Path, checkpoint: ModelSpec, name: NumberFormat, clips: Sequence[Clip]) -> Scored:
    engine = Engine.load(directory, EngineOptions(threads=1, number_format=name))
    judge, direct, costs, judged = by_generator(engine, checkpoint), [], [], []
    try:
        for clip in clips:
            started = time.process_time()
            direct.append(await _direct(engine, checkpoint, clip))
            costs.append(time.process_time() - started)
            judged.append(await judge(BenchmarkPicture.of(clip)))
    finally:
        engine.close()
    return Scored(direct, [score for _, score in judged], [text for text, _ in judged], 1e3 * median(costs))


async def _direct(engine: Engine, checkpoint: ModelSpec, clip: Clip) -> float:
    async def none() -> None:
        return None

    async for each in score_clip(engine, checkpoint, "direct", clip, none):
        if isinstance(each, EarlyScore):
            return each.score.value
    raise AssertionError("score_clip begins with EarlyScore or raises")


def _photos(manifest: Path, count: int, checkpoint: ModelSpec) -> tuple[list[Clip], list[float]]:
    """So many, spread over the manifest, at the size that the model takes, and people's means."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = [rows[place * len(rows) // count] for place in range(min(count, len(rows)))]
    clips = []
    for row in chosen:
        with Image.open(manifest.parent / row["file"]) as opened:
            pixels = served(np.asarray(opened.convert("RGB")), checkpoint.pixels)
        clips.append(Clip((Frame(pixels, 0.0),), is_video=False))
    return clips, [float(row["mos"]) for row in chosen]


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.formats", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument(
        "--manifest", type=Path, required=True, help="a CSV with file and mos in the folder of the photos"
    )
    formats: tuple[NumberFormat, ...] = get_args(NumberFormat)
    parser.add_argument("--formats", nargs="+", choices=formats, default=formats, metavar="NAME", help=str(formats))
    parser.add_argument("--photos", type=int, default=100, help="(default 100)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(options_of())))
