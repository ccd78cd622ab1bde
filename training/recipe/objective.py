"""Objective: a batch -> the loss to go down, and the sums that are logged; NCM, how far numbers are from labels.

NCM is read from the digits' probabilities (RealQA, section 3.3):
E[z_i] = v . softmax(z_i[digits]) with v = (0..9); E[S] = sum_i 10^(1-i) E[z_i]; NCM = (E[S] - S_GT)^2, at the label's
digit positions under teacher forcing. It is a monitor, not a loss. A missing third digit (7.0) contributes 0.

NCM* leaves the label's own digit out, to ask whether the neighbours know the number, too:
paper        the digit's term is dropped and the denominator stays (the printed formula; v[GT] = 0 in the authors' code)
renormalised the denominator drops it as well, so that the other nine probabilities sum to 1
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.recipe.encoding import EncodedBatch

Leaving = Literal["nothing", "paper", "renormalised"]


@dataclass(frozen=True, slots=True, eq=False)
class NumberError:
    """Squared errors of rows, (rows,) float32 each."""

    ncm: Tensor
    star_paper: Tensor
    star_renormalised: Tensor


def number_error(digit_logits: Tensor, written: Tensor, scores: Tensor) -> NumberError:
    """digit_logits: (rows, 3, 10); written: (rows, 3) int64, the label's digits, -1 where there is none;
    scores: (rows,), the labels. All in units of the score."""
    leavings: tuple[Leaving, ...] = ("nothing", "paper", "renormalised")
    return NumberError(*((expected_score(digit_logits, written, leave) - scores) ** 2 for leave in leavings))


def expected_score(digit_logits: Tensor, written: Tensor, leaving: Leaving = "nothing") -> Tensor:
    """(rows,): E[S]. Shapes as in number_error."""
    logits = digit_logits.float()
    left_out = torch.nn.functional.one_hot(written.clamp(min=0), 10).bool()
    if leaving == "renormalised":
        logits = logits.masked_fill(left_out, float("-inf"))
    shares = logits.softmax(-1)
    if leaving == "paper":
        shares = shares.masked_fill(left_out, 0.0)
    digits = (shares * torch.arange(10, device=shares.device)).sum(-1) * (written >= 0)
    units = torch.tensor([1.0, 0.1, 0.01], device=digits.device)
    return (digits * units).sum(-1)


@dataclass(frozen=True, slots=True, eq=False)
class BatchLoss:
    """One batch's loss, as a sum, so that batches of different sizes add up to one step."""

    loss_sum: Tensor
    weight: float
    """Of what loss_sum is a sum: weights of answer tokens, or rows."""
    sums: Counter[str] = field(default_factory=Counter)
    """Names as in the log, and `rows_direct`, `rows_cot` to divide by."""


class Objective(Protocol):
    """What a run minimises."""

    def weight(self, batch: EncodedBatch) -> float:
        """What the batch weighs in its step, without looking at the model."""
        ...

    def __call__(self, model: nn.Module, batch: EncodedBatch) -> BatchLoss: ...


@dataclass(frozen=True, slots=True)
class NextToken:
    """Cross-entropy over answer tokens; NCM and NCM* with it."""

    digits: tuple[int, ...]
    """Ids of "0" to "9"."""

    def weight(self, batch: EncodedBatch) -> float:
        return float(batch.weights.sum())

    def __call__(self, model: nn.Module, batch: EncodedBatch) -> BatchLoss:
        # Logits over 152,000 tokens are most of the memory; those of the prompt are never read.
        weighs = (batch.weights > 0).any(0)
        first = max(0, int(weighs.int().argmax()) - 1)
        length = batch.ids.shape[1]
        logits: Tensor = model(**batch.model_inputs(), logits_to_keep=length - first).logits
        targets, weights = (of_all[:, first + 1 :].flatten() for of_all in (batch.ids, batch.weights))
        losses = functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets, reduction="none")
        return BatchLoss((losses * weights).sum(), self.weight(batch), self._numbers(logits.detach(), batch, first))

    @torch.no_grad()
    def _numbers(self, logits: Tensor, batch: EncodedBatch, first: int) -> Counter[str]:
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
