import json
from math import log
from pathlib import Path

import pytest
import torch

from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.tokenizer import TextTokenizer
from tests.training.recipe.conftest import Set, settings
from training.recipe.base import load_base
from training.recipe.encoding import Encoder, batch_of
from training.recipe.example import example_of
from training.recipe.objective import Leaving, NextToken, expected_score, number_error


@torch.no_grad()
def test_ncm_of_a_padded_batch_is_that_of_its_rows_by_hand(base: Path, pictures: Set) -> None:
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text()))
    text = TextTokenizer.read(base / "tokenizer.json")
    encoder = Encoder(text, layout, settings().pictures, 512)
    rows = [
        encoder.example(example_of(pictures.scored[place])) for place in (0, 1, 3)
    ]  # direct, reasoned, direct of two digits
    # from_pretrained has put it into evaluation already.
    model = load_base(base, torch.float32)
    sums = NextToken(text.digits)(model, batch_of(rows, text.special.image_pad, text.special.im_end)).sums
    by_hand = []
    for row in rows:
        alone = batch_of([row], text.special.image_pad, text.special.im_end)
        shares = model(**alone.model_inputs()).logits[0, :, list(text.digits)].softmax(-1)
        digits = [float((shares[place - 1] * torch.arange(10)).sum()) for place in row.digit_places]
        number = sum(digit * unit for digit, unit in zip(digits, (1, 0.1, 0.01), strict=False))
        by_hand.append((number - (row.score or 0.0)) ** 2)
    assert (sums["ncm_direct"], sums["ncm_cot"]) == pytest.approx((by_hand[0] + by_hand[2], by_hand[1]), rel=1e-3)


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
