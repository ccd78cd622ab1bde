"""Batch: encoded rows of different lengths as one set of tensors, padded on the right."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from training.paper.encoded import Encoded

IGNORED = -100


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    ids: Tensor
    """(batch, length) int64."""
    attention_mask: Tensor
    """(batch, length) int64, 0 on padding."""
    token_types: Tensor
    """(batch, length) int32, 1 on a picture's placeholders: what transformers tells the rotary positions by."""
    labels: Tensor
    """(batch, length) int64: the id where it weighs in the loss, -100 elsewhere."""
    pixel_values: Tensor
    """(patches of all pictures, 1176) float32."""
    grid_thw: Tensor
    """(batch, 3) int64."""
    digit_places: Tensor
    """(batch, 3) int64, places of the label's digits, -1 where there is none."""
    scores: Tensor
    """(batch,) float32, NaN where there is no label."""
    reasoned: Tensor
    """(batch,) bool, True where reasoning stands in front of the label."""
    question_ends: Tensor
    """(batch,) int64."""
    names: tuple[str, ...]
    """Of the files, for complaints."""

    def to(self, device: torch.device) -> "Batch":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if torch.is_tensor(value)}
        return Batch(**(values | moved))

    def model_inputs(self) -> dict[str, Any]:
        """Arguments of Qwen2-VL's forward."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.attention_mask,
            "mm_token_type_ids": self.token_types,
            "pixel_values": self.pixel_values,
            "image_grid_thw": self.grid_thw,
            "use_cache": False,
        }


def batch_of(rows: Sequence[Encoded], image_pad: int, padding: int) -> Batch:
    """image_pad, padding: token ids."""
    length = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), length), padding)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), IGNORED)
    digits = torch.full((len(rows), 3), -1)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = row.ids
        mask[place, : len(row.ids)] = 1
        labels[place, row.first_target : len(row.ids)] = row.ids[row.first_target :]
        digits[place, : len(row.digit_places)] = torch.tensor(row.digit_places, dtype=torch.long)
    return Batch(
        ids=ids,
        attention_mask=mask,
        token_types=((ids == image_pad) & (mask == 1)).int(),
        labels=labels,
        pixel_values=torch.cat([row.pixel_values for row in rows]),
        grid_thw=torch.tensor([row.grid_thw for row in rows]),
        digit_places=digits,
        scores=torch.tensor([float("nan") if row.score is None else row.score for row in rows]),
        reasoned=torch.tensor([row.task in ("regular", "natural") for row in rows]),
        question_ends=torch.tensor([row.question_end for row in rows]),
        names=tuple(row.name for row in rows),
    )
