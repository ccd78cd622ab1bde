from math import log

import pytest
import torch

from training.paper.ncm import Leaving, expected_score, number_error


def logits_of(*shares: dict[int, float]) -> torch.Tensor:
    """(1, 3, 10) whose softmax is the shares."""
    return torch.tensor([[[log(row.get(digit, 1e-30)) for digit in range(10)] for row in shares]])


SURE = {0: 1.0}


def test_ncm_is_the_squared_distance_of_the_expected_number() -> None:
    logits = logits_of({3: 0.5, 5: 0.5}, {9: 1.0}, {8: 1.0})  # 4 + 0.9 + 0.08
    assert number_error(logits, torch.tensor([[3, 9, 8]]), torch.tensor([3.98])).ncm.item() == pytest.approx(1.0)


@pytest.mark.parametrize(("leaving", "expected"), [("nothing", 3.75), ("paper", 3.0), ("renormalised", 4.0)])
def test_the_label_left_out_as_printed_or_renormalised(leaving: Leaving, expected: float) -> None:
    logits = logits_of({3: 0.25, 4: 0.75}, SURE, SURE)
    # Further digits: 0 is the label, so what is renormalised there is the mean of 1..9, 5; it is left away here.
    assert expected_score(logits, torch.tensor([[3, -1, -1]]), leaving).item() == pytest.approx(expected)


def test_a_missing_third_digit_contributes_nothing() -> None:
    logits = logits_of({7: 1.0}, {0: 1.0}, {9: 1.0})
    assert expected_score(logits, torch.tensor([[7, 0, -1]])).item() == pytest.approx(7.0)
