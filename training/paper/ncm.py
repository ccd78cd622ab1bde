"""NCM: how far the numbers are from the labels, read from the digits' probabilities (RealQA, section 3.3).

E[z_i] = v . softmax(z_i[digits]) with v = (0..9); E[S] = sum_i 10^(1-i) E[z_i]; NCM = (E[S] - S_GT)^2, at the label's
digit positions under teacher forcing. It is a monitor, not a loss. A missing third digit (7.0) contributes 0.

NCM* leaves the label's own digit out, to ask whether the neighbours know the number, too:
paper        the digit's term is dropped and the denominator kept (the printed formula; v[GT] = 0 in the authors' code)
renormalised the denominator drops it as well, so that the other nine probabilities sum to 1
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

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
