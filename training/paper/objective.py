"""Objective: a batch -> the loss to go down, and the sums that are logged."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.paper.batch import IGNORED, Batch
from training.paper.ncm import number_error


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One batch's loss, as a sum, so that batches of different sizes add up to one step."""

    loss_sum: Tensor
    count: int
    """Of what loss_sum is a sum: answer tokens, or rows."""
    sums: Counter[str] = field(default_factory=Counter)
    """Names as in the log, and `rows_direct`, `rows_cot` to divide by."""


class Objective(Protocol):
    """What a run minimises."""

    def count(self, batch: Batch) -> int:
        """What the batch weighs in its step, without looking at the model."""
        ...

    def __call__(self, model: nn.Module, batch: Batch) -> Measured: ...


@dataclass(frozen=True, slots=True)
class NextToken:
    """Cross-entropy over answer tokens; NCM and NCM* beside it."""

    digits: tuple[int, ...]
    """Ids of "0" to "9"."""

    def count(self, batch: Batch) -> int:
        return int((batch.labels != IGNORED).sum())

    def __call__(self, model: nn.Module, batch: Batch) -> Measured:
        # Logits over 152,000 tokens are most of the memory; those of the prompt are never looked at.
        weighs = (batch.labels != IGNORED).any(0)
        first = int(weighs.int().argmax()) - 1
        length = batch.ids.shape[1]
        logits: Tensor = model(**batch.model_inputs(), logits_to_keep=length - first).logits
        targets = batch.labels[:, first + 1 :]
        loss_sum = functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return Measured(loss_sum, self.count(batch), self._numbers(logits.detach(), batch, first))

    @torch.no_grad()
    def _numbers(self, logits: Tensor, batch: Batch, first: int) -> Counter[str]:
        rows = (batch.digit_places[:, 0] >= 0).nonzero().flatten()
        if not len(rows):
            return Counter()
        places = batch.digit_places[rows]
        asked = places.clamp(min=first + 1)
        predicting = asked - 1 - first
        ids = torch.tensor(self.digits, device=logits.device)
        digit_logits = logits[rows[:, None], predicting][..., ids]
        digit_of = {token: digit for digit, token in enumerate(self.digits)}
        tokens = batch.ids[rows[:, None], asked].tolist()
        written = torch.tensor([[digit_of.get(token, 0) for token in row] for row in tokens], device=logits.device)
        errors = number_error(digit_logits, written.where(places >= 0, -1), batch.scores[rows])
        sums: Counter[str] = Counter()
        for name, kind in (("direct", ~batch.reasoned[rows]), ("cot", batch.reasoned[rows])):
            sums[f"rows_{name}"] += int(kind.sum())
            for metric in ("ncm", "star_paper", "star_renormalised"):
                key = metric if metric == "ncm" else f"ncm_{metric}"
                of_kind: Any = getattr(errors, metric)[kind].sum().item()
                sums[f"{key}_{name}"] += of_kind
        return sums
