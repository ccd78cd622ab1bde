"""Schedule: which rows each step takes, and how fast it learns. Pure functions of the step, so a run can resume."""

from collections.abc import Sequence
from math import cos, pi

import torch


def order(rows: int, epochs: int, seed: int) -> list[int]:
    """Indices of rows, every epoch in another fixed order."""
    indices: list[int] = []
    for epoch in range(epochs):
        shuffled = torch.randperm(rows, generator=torch.Generator().manual_seed(seed + epoch))
        indices += shuffled.tolist()
    return indices


def step_rows(indices: Sequence[int], batch: int, accumulate: int, processes: int) -> list[list[list[list[int]]]]:
    """[step][process][micro-batch] -> rows. A process of the last step may get fewer, or none."""
    size = batch * accumulate * processes
    steps = []
    for start in range(0, len(indices), size):
        of_step = indices[start : start + size]
        micro = [list(of_step[place : place + batch]) for place in range(0, len(of_step), batch)]
        steps.append([micro[process::processes] for process in range(processes)])
    return steps


def share_of(of_step: Sequence[Sequence[list[int]]], process: int) -> tuple[list[list[int]], int]:
    """A process's micro-batches of a step, and how many of them weigh.

    Processes wait for each other in every backward pass, so that one with fewer than the others would stop them all:
    it gets the step's first one again, without weight.
    """
    mine = list(of_step[process])
    most = max(map(len, of_step))
    return mine + [of_step[0][0]] * (most - len(mine)), len(mine)


def learning_rate(step: int, steps: int, peak: float, warm_up: float) -> float:
    """Of a step counted from 0: a linear rise over warm_up * steps, then a cosine to zero."""
    rise = round(steps * warm_up)
    if step < rise:
        return peak * (step + 1) / rise
    return peak * (1 + cos(pi * (step - rise) / max(1, steps - rise))) / 2
