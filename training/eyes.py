"""Eyes: the tower learns to see, before there are words: what the teacher sees at each token, and people's labels."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import Qwen2VLForConditionalGeneration

from training.batches import Batches, Picture
from training.distillation import Teacher, TeacherTargets, visible_tokens
from training.forward import vision_tokens
from training.head import Head, head_loss
from training.loader_worker import batches_of, end_with_training
from training.loop import Progress, paced, quicker_dtype, resume, save
from training.schedule import Schedule

_HEAD_RATE = 1e-3
_SAVE_EVERY_STEPS = 100


@dataclass(frozen=True, slots=True)
class DistillationBatch:
    """One batch, and what the teacher sees in it."""

    pictures: list[Picture]
    teacher_targets: TeacherTargets
    visible: Tensor | None


class DistillationBatches(Dataset[DistillationBatch]):
    """Indexed by step."""

    def __init__(self, batches: Batches, teacher: Teacher) -> None:
        self._batches, self._teacher = batches, teacher

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> DistillationBatch:
        pictures = self._batches[step]
        visible = visible_tokens(pictures[0], np.random.default_rng(step))
        teacher_targets = self._teacher.targets(pictures)
        return DistillationBatch([replace(picture, native=None) for picture in pictures], teacher_targets, visible)


def train_eyes(
    model: Qwen2VLForConditionalGeneration,
    batches: DistillationBatches,
    schedule: Schedule,
    until: float,
    state_file: Path,
) -> None:
    """Until then, time.time() seconds. Goes on from state_file."""
    visual = model.model.visual
    head = Head(model.lm_head.in_features)
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in visual.named_parameters() if "merger" not in name], "lr": schedule.tower_rate},
        {"params": list(visual.merger.parameters()), "lr": schedule.merger_rate},
        {"params": list(head.parameters()), "lr": _HEAD_RATE},
    ]
    rates = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02, betas=(0.9, 0.98), fused=True)
    parts = {"tower": visual, "head": head, "optimizer": optimizer}
    step, dtype, progress = resume(state_file, parts), quicker_dtype(model.device), Progress("eyes", until)
    loader = DataLoader(
        batches, batch_size=None, sampler=range(step, len(batches)), num_workers=1, prefetch_factor=4,
        worker_init_fn=end_with_training,
    )  # fmt: skip
    for batch in batches_of(loader):
        factor = paced(optimizer, rates, schedule, time.time())
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            tokens = vision_tokens(model, batch.pictures, batch.visible)
        loss, values = head_loss(head(tokens.float()), batch.pictures, batch.teacher_targets, batch.visible)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_([*visual.parameters(), *head.parameters()], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        progress.advance(step, len(batch.pictures), values, factor)
        is_over = time.time() > until
        if step % _SAVE_EVERY_STEPS == 0 or is_over:
            save(state_file, parts, step)
        if is_over:
            return
