"""`python -m benchmarks.engine.profile --checkpoint DIR`: where the milliseconds of one answer go.

One request at a time; of one to the next nothing is cached, but what it said is learned (speculation). CPU time is that
of all threads of the process: on a machine that is busy with other work it moves less than the clock does. Medians over
pictures. How near each stage comes to what a GPU can do, without a checkpoint: `benchmarks.engine.roofline`.
"""

import argparse
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import get_args

import torch
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import read_checkpoint
from assay.decoding.event_stream import EngineRequest
from assay.decoding.speculation import Speculation
from assay.decoding.token_tree import TokenTree
from assay.engine.kv_cache import ScheduledStep, SequenceState
from assay.engine.model.loading import LoadedModel, load_model
from assay.engine.model.number_format import NumberFormat, NumberFormatName, chosen_format
from assay.engine.model_runner import ModelRunner
from assay.engine.scheduler import Scheduler
from benchmarks.engine.peers.process import processor_name
from benchmarks.engine.workloads import NAMES, Ask, asks


class Timed(ModelRunner):
    """Counts the time of its forwards; nothing is cached from one answer to the next."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, number_format: NumberFormat = "stored") -> None:
        super().__init__(model, 0, number_format)
        self.spent: list[tuple[int, float, float]] = []
        """Of each forward: tokens read, seconds, CPU seconds."""
        self.vision_cpu_seconds = 0.0
        """Of clips from their pixels to embeddings, in front of the forwards."""

    def begin(self, state: SequenceState, tree: TokenTree, *, waiting: Collection[bytes]) -> TokenTree:
        return tree

    def encode(self, state: SequenceState, tree: TokenTree) -> bool:
        started = time.process_time()
        is_new = super().encode(state, tree)
        self.vision_cpu_seconds += time.process_time() - started
        return is_new

    def run(self, steps: Sequence[ScheduledStep]) -> list[torch.Tensor]:
        started, cpu_started = time.perf_counter(), time.process_time()
        logits = super().run(steps)
        tokens = sum(len(tree.token_ids) for _, tree in steps)
        self.spent.append((tokens, time.perf_counter() - started, time.process_time() - cpu_started))
        return logits


def answer(checkpoint: LoadedModel, timed: Timed, ask: Ask, learned: Speculation) -> dict[str, float]:
    """One answer, and where its time went; milliseconds. What it says is learned for the next."""
    timed.spent.clear()
    timed.vision_cpu_seconds = 0.0
    started, cpu_started = time.perf_counter(), time.process_time()
    scheduler = Scheduler(checkpoint, timed, forget=lambda _: None, speculation=learned)
    scheduler.admit(EngineRequest("profile", ask.clip, ask.conversation, ask.form, on_events=lambda _: None))
    while not scheduler.is_idle:
        scheduler.step()
    whole, whole_cpu = time.perf_counter() - started, time.process_time() - cpu_started
    (_, first, first_cpu), *others = timed.spent
    return {
        "forwards": len(timed.spent),
        "tokens": sum(tokens for tokens, *_ in timed.spent),
        "whole ms": 1e3 * whole,
        "first forward ms": 1e3 * first,
        "others ms": 1e3 * sum(seconds for _, seconds, _ in others),
        "whole CPU ms": 1e3 * whole_cpu,
        "vision CPU ms": 1e3 * timed.vision_cpu_seconds,
        "first CPU ms": 1e3 * first_cpu,
        "others CPU ms": 1e3 * sum(cpu for *_, cpu in others),
        "around CPU ms": 1e3 * (whole_cpu - timed.vision_cpu_seconds - sum(cpu for *_, cpu in timed.spent)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--number-format", choices=get_args(NumberFormatName), default="auto")
    parser.add_argument("--side-px", type=int, help="of the pictures, a multiple of 28 (default: the checkpoint's)")
    parser.add_argument("--workloads", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--pictures", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint, served = load_model(options.checkpoint), read_checkpoint(options.checkpoint)
    number_format = chosen_format(checkpoint.model.config, options.number_format)
    timed = Timed(checkpoint.model, number_format)
    timed.warm_up()
    for place, name in enumerate(options.workloads):
        requests = asks(name, served, options.pictures + 1, seed=1, side_px=options.side_px)
        learned = Speculation()
        rows = [answer(checkpoint, timed, ask, learned) for ask in requests][1:]
        medians = {key: median(row[key] for row in rows) for key in rows[0]}
        if not place:
            print(
                f"checkpoint {checkpoint.fingerprint}, {number_format}, {options.threads} threads, {processor_name()}"
            )
            print("| workload | " + " | ".join(medians) + " |\n|---" * 1 + "|---" * len(medians) + "|")
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in medians.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
