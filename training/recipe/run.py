"""Run: what is trained on what, and which example each step takes, as a function of the seed alone."""

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import Dataset, get_worker_info

from training.loader_worker import end_with_training
from training.recipe.encoding import Encoded
from training.recipe.example import TrainingExample
from training.recipe.objective import Objective
from training.recipe.settings import Settings


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What is trained on what."""

    examples: Sequence[TrainingExample]
    encode: Callable[[TrainingExample], Encoded]
    image_pad: int
    padding: int
    """Token ids."""
    objective: Objective
    epochs: int
    settings: Settings
    out: Path
    stop_after: int | None = None
    """Steps of this run, if not all; the schedule is that of the shortened run."""
    pause_after: int | None = None
    """Steps after which the run stops as if interrupted, with its state saved."""


class OrderedExamples(Dataset[Encoded]):
    """Every epoch in another fixed order, one epoch behind the other; encoded when they are asked for.

    Several processes take as many batches each, so the last ones are filled up with examples that weigh nothing.
    """

    def __init__(self, run: TrainingRun, processes: int) -> None:
        chosen = run.settings.optimiser
        self._run, self._order = run, order(len(run.examples), run.epochs, run.settings.seed)
        together = chosen.batch * processes
        length = len(self._order) if processes == 1 else together * math.ceil(len(self._order) / together)
        a_step = together * chosen.accumulate
        self._length = min(length, (run.stop_after or length) * a_step)
        self.steps = math.ceil(self._length / a_step)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> Encoded:
        _watch_training(os.getpid())
        encoded = self._run.encode(self._run.examples[self._order[place % len(self._order)]])
        return encoded if place < len(self._order) else encoded.without_weight()


@functools.cache
def _watch_training(_process: int) -> None:
    """Once in every process that prepares examples."""
    if get_worker_info() is not None:
        end_with_training(0)


def order(rows: int, epochs: int, seed: int) -> list[int]:
    """Indices of rows, every epoch in another fixed order."""
    indices: list[int] = []
    for epoch in range(epochs):
        shuffled = torch.randperm(rows, generator=torch.Generator().manual_seed(seed + epoch))
        indices += shuffled.tolist()
    return indices
