"""The loop: lessons in, weights out; saved every few minutes, and it goes on from what it saved."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from transformers import Qwen2VLForConditionalGeneration

from training.forward import answer_logits, lesson_loss, vision_tokens
from training.head import Head, head_loss
from training.lessons import Lesson, Lessons
from training.loader_worker import batches_of, end_with_training
from training.schedule import Schedule

_DECAY = 0.99
"""Of the running mean of the weights, a step: it stands for a hundred steps, without the noise of the last."""


def train(
    model: Qwen2VLForConditionalGeneration,
    head: Head,
    lessons: Lessons,
    digits: Tensor,
    schedule: Schedule,
    state_file: Path,
    at_times: Callable[[Qwen2VLForConditionalGeneration], None],
    save_every_steps: int = 150,
    until: float | None = None,
) -> None:
    """Train until then (time.time() seconds; the schedule's end if None), one step at least; after each save
    `at_times` is called with the model whose weights are a running mean over the last steps.

    Where the model is, the training is: on its device, in bfloat16 where that is quicker.
    """
    until = schedule.until if until is None else until
    device = model.device
    dtype = quicker_dtype(device)
    digits = digits.to(device)
    optimizer = torch.optim.AdamW(_groups(model, head, schedule), weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    average: Any = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(_DECAY))  # type: ignore[no-untyped-call]
    parts = {"model": model, "head": head, "optimizer": optimizer, "average": average}
    step = resume(state_file, parts, device)
    progress = Progress("words", until)
    for lesson in batches_of(_loader(lessons, step, device)):
        factor = paced(optimizer, rates, schedule, time.time())
        lesson = replace(lesson, forest=lesson.forest.to(device))
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            tokens = vision_tokens(model, lesson.pictures, lesson.visible)
            logits = answer_logits(model, tokens, lesson.forest)
        loss, losses = lesson_loss(logits, lesson, digits)
        auxiliary, more = head_loss(head(tokens), lesson.pictures, lesson.teacher_targets, lesson.visible)
        (loss + 0.4 * auxiliary).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(model)
        step += 1
        values = {**losses, **{f"head_{name}": value for name, value in more.items()}}
        progress.advance(step, len(lesson.pictures), values, factor)
        is_over = time.time() > until
        if step % save_every_steps == 0 or is_over:
            save(state_file, parts, step)
            at_times(average.module)
        if is_over:
            return


class Progress:
    """Prints how the parts of the loss go, every twenty steps."""

    def __init__(self, name: str, until: float, every: int = 20) -> None:
        self._name, self._until, self._every = name, until, every
        self._began, self._pictures = time.time(), 0
        self._values: dict[str, deque[float]] = {}

    def advance(self, step: int, pictures: int, values: Mapping[str, float], factor: float) -> None:
        self._pictures += pictures
        for name, value in values.items():
            self._values.setdefault(name, deque(maxlen=self._every)).append(value)
        if step % self._every == 0:
            means = " ".join(f"{name} {np.mean(last):.4f}" for name, last in self._values.items())
            left, pace = (self._until - time.time()) / 60, self._pictures / (time.time() - self._began)
            print(
                f"{self._name} step {step} {means} rate {factor:.3f} {pace:.1f} photos/s, {left:.0f} min left",
                flush=True,
            )


def _loader(lessons: Lessons, first: int, device: torch.device) -> "DataLoader[Lesson]":
    """The lessons from that one on, made by workers that end with the training."""
    return DataLoader(
        lessons,
        batch_size=None,
        sampler=range(first, len(lessons)),
        num_workers=1 if device.type == "cpu" else max(1, (os.cpu_count() or 2) - 2),
        prefetch_factor=3,
        worker_init_fn=end_with_training,
    )


def paced(optimizer: torch.optim.Optimizer, rates: list[float], schedule: Schedule, now: float) -> float:
    """Set the rates, and whether the tower (the first group) learns at all, by the clock; the factor of the others."""
    factor, tower = schedule.factor(now), optimizer.param_groups[0]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor
    tower["lr"] = rates[0] * schedule.tower_factor(now)
    for parameter in tower["params"]:
        parameter.requires_grad_(not schedule.is_tower_frozen(now))
    return factor


def _groups(model: Qwen2VLForConditionalGeneration, head: Head, schedule: Schedule) -> list[dict[str, Any]]:
    visual = model.model.visual
    return [
        {"params": list(_learning(visual, schedule.tower_blocks_frozen)), "lr": schedule.tower_rate},
        {"params": list(visual.merger.parameters()), "lr": schedule.merger_rate},
        {"params": list(model.model.language_model.parameters()), "lr": schedule.language_rate},
        {"params": list(head.parameters()), "lr": 3e-4},
    ]


def _learning(visual: Any, blocks_frozen: int) -> Iterator[torch.nn.Parameter]:
    """The tower's parameters that may ever learn; the others are switched off."""
    frozen = [f"blocks.{number}." for number in range(blocks_frozen)] + (["patch_embed."] if blocks_frozen else [])
    for name, parameter in visual.named_parameters():
        if any(name.startswith(part) for part in frozen):
            parameter.requires_grad_(False)
        elif "merger" not in name:
            yield parameter


def quicker_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine is good at it. On a CPU that is measured: without the instructions it is slower."""
    if device.type != "cpu":
        return torch.bfloat16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = torch.ones(2048, 384, dtype=dtype), torch.ones(1536, 384, dtype=dtype)
        torch.nn.functional.linear(x, weight)
        began = time.perf_counter()
        for _ in range(3):
            torch.nn.functional.linear(x, weight)
        seconds[dtype] = time.perf_counter() - began
    return min(seconds, key=lambda dtype: seconds[dtype])


def save(file: Path, parts: Mapping[str, Any], step: int) -> None:
    """The state of every part, the file replaced whole."""
    temporary = file.with_suffix(".part")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step}, temporary)
    temporary.replace(file)


def resume(file: Path, parts: Mapping[str, Any], device: torch.device | None = None) -> int:
    """What `save` wrote, put into the parts; the step that comes next, 0 where nothing was saved."""
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True, map_location=device)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    step: int = state["step"]
    print(f"goes on from step {step}", flush=True)
    return step
