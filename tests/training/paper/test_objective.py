import json
from pathlib import Path

import pytest
import torch

from assay.engine.patches import PatchLayout
from assay.engine.text_tokens import TextTokens
from tests.training.paper.conftest import Set, settings
from training.paper.base import load_base
from training.paper.batch import batch_of
from training.paper.encoded import Encoder
from training.paper.objective import NextToken


@torch.no_grad()
def test_ncm_of_a_padded_batch_is_that_of_its_rows_by_hand(base: Path, pictures: Set) -> None:
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text()))
    text = TextTokens.read(base / "tokenizer.json")
    encoder = Encoder(text, layout, settings().pictures, 512)
    rows = [encoder.row(pictures.scored[place]) for place in (0, 1, 3)]  # direct, reasoned, direct of two digits
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
