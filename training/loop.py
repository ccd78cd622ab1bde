"""The loop: lessons in, weights out; saved every few minutes, and it goes on from what it saved."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import Qwen2VLForConditionalGeneration

from training.forward import answer_logits, vision_tokens
from training.head import PooledHead, head_loss
from training.lessons import Lesson, Lessons
from training.loader_worker import end_with_training
from training.loss import lesson_loss
from training.schedule import Schedule


def train(
    model: Qwen2VLForConditionalGeneration,
    head: PooledHead,
    lessons: Lessons,
    teacher: Tensor,
    digits: Tensor,
    schedule: Schedule,
    state_file: Path,
    at_times: Callable[[int], None],
    save_every_steps: int = 150,
    until: float | None = None,
) -> None:
    """Train until then (time.time() seconds; the schedule's end if None), one step at least; `at_times(step)` is called
    after each save.

    Where the model is, the training is: on its device, in bfloat16 where that is quicker.
    """
    until = schedule.until if until is None else until
    device = model.device
    dtype = quicker_dtype(device)
    teacher, digits = teacher.to(device), digits.to(device)
    optimizer = torch.optim.AdamW(_groups(model, head, schedule), weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    step = _resume(state_file, model, head, optimizer)
    began, seen = time.time(), 0
    log: dict[str, list[float]] = {}
    for lesson in _loader(lessons, step, device):
        factor = _paced(optimizer, rates, schedule, time.time())
        lesson = Lesson(lesson.pictures, lesson.forest.to(device))
        with torch.autocast(device.type, dtype, enabled=dtype is not torch.float32):
            tokens = vision_tokens(model, lesson.pictures)
            logits = answer_logits(model, tokens, lesson.forest)
        loss, parts = lesson_loss(logits, lesson, digits)
        labels, features, turn = head(tokens)
        seen_by_teacher = teacher[[picture.row for picture in lesson.pictures]]
        beside, more = head_loss(labels, features, turn, lesson.pictures, seen_by_teacher)
        (loss + 0.4 * beside).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*model.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step, seen = step + 1, seen + len(lesson.pictures)
        for name, value in {**parts, **{f"head_{name}": value for name, value in more.items()}}.items():
            log.setdefault(name, []).append(value)
        if step % 20 == 0:
            means = " ".join(f"{name} {np.mean(values[-20:]):.4f}" for name, values in log.items())
            left = max(0.0, until - time.time()) / 60
            pace = f"{seen / (time.time() - began):.1f} photos/s, {left:.0f} min left"
            print(f"step {step} {means} rate {factor:.3f} {pace}", flush=True)
        is_over = time.time() > until
        if step % save_every_steps == 0 or is_over:
            _save(state_file, {"model": model, "head": head, "optimizer": optimizer}, step)
            at_times(step)
        if is_over:
            return


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


def _paced(optimizer: torch.optim.Optimizer, rates: list[float], schedule: Schedule, now: float) -> float:
    """Set the rates, and whether the tower (the first group) learns at all, by the clock; the factor of the others."""
    factor, tower = schedule.factor(now), optimizer.param_groups[0]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * factor
    tower["lr"] = rates[0] * schedule.tower_factor(now)
    for parameter in tower["params"]:
        parameter.requires_grad_(not schedule.is_tower_frozen(now))
    return factor


def _groups(model: Qwen2VLForConditionalGeneration, head: PooledHead, schedule: Schedule) -> list[dict[str, Any]]:
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


def _save(file: Path, parts: Mapping[str, Any], step: int) -> None:
    temporary = file.with_suffix(".part")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "step": step}, temporary)
    temporary.replace(file)


def _resume(
    file: Path, model: Qwen2VLForConditionalGeneration, head: PooledHead, optimizer: torch.optim.Optimizer
) -> int:
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True, map_location=model.device)
    model.load_state_dict(state["model"])
    head.load_state_dict(state["head"])
    optimizer.load_state_dict(state["optimizer"])
    step: int = state["step"]
    print(f"goes on from step {step}", flush=True)
    return step
