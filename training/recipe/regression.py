"""Regression head: the paper's baseline. Last question token -> linear -> sigmoid, mean squared error."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Qwen2VLForConditionalGeneration

from assay.errors import CheckpointError
from training.recipe.encoding import EncodedBatch
from training.recipe.objective import BatchLoss

SCALE = 10.0
HEAD = "head.safetensors"


class Regressor(nn.Module):
    """A Qwen2-VL (with its adapter) whose output head is not used."""

    def __init__(self, model: nn.Module, width: int) -> None:
        """width: of the language model."""
        super().__init__()
        self.model = model
        self.head = nn.Linear(width, 1)

    def forward(self, batch: EncodedBatch) -> Tensor:
        """(batch,) in (0, 1)."""
        # peft put its layers inside; past the output head, whose logits nobody needs.
        inner: Any = next(m for m in self.model.modules() if isinstance(m, Qwen2VLForConditionalGeneration))
        hidden: Tensor = inner.model(**batch.model_inputs()).last_hidden_state
        last = hidden[torch.arange(len(hidden)), batch.question_ends]
        return self.head(last.float()).squeeze(-1).sigmoid()  # type: ignore[no-any-return]


def regressor_of(model: Any) -> Regressor:
    """A new head over a model, with or without an adapter."""
    return Regressor(model, model.config.get_text_config().hidden_size)


def load_head(regressor: Regressor, run: Path) -> None:
    """The head that a run wrote, in place. CheckpointError if there is none, or it is of another width."""
    file = run / HEAD
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; give the --out directory of `training regression`")
    weights = load_file(file)
    wanted = {name: tuple(values.shape) for name, values in regressor.head.state_dict().items()}
    found = {name: tuple(values.shape) for name, values in weights.items()}
    if found != wanted:
        raise CheckpointError(f"{file} holds {found}, and the base needs {wanted}; it was trained over another base")
    regressor.head.load_state_dict(weights)


@dataclass(frozen=True, slots=True)
class SquaredError:
    """(sigmoid - score / 10) squared, over rows that have a score."""

    def weight(self, batch: EncodedBatch) -> float:
        return float(batch.scores.isfinite().sum())

    def __call__(self, model: nn.Module, batch: EncodedBatch) -> BatchLoss:
        errors = model(batch) - batch.scores.nan_to_num() / SCALE
        loss_sum = (errors**2 * batch.scores.isfinite()).sum()
        return BatchLoss(loss_sum, self.weight(batch), Counter())
