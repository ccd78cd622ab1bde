"""`python -m evaluation claims` against a gateway that says what is true of a photo, or what is not."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.checkpoint import read_checkpoint
from assay.errors import AssayError
from assay.v1 import event_pb2
from evaluation.__main__ import main
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started

NANO = Path(__file__).parents[3] / "checkpoints" / "nano"
TRUE = "sound framing with much detail and strong light and shade"
LIE = "sound framing with much detail and even light"


def photo() -> Image.Image:
    """Noise, brighter on the left."""
    pixels = np.random.default_rng(0).normal(0, 8, (60, 80, 3))
    pixels[:, :40] += 220
    pixels[:, 40:] += 40
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def measured(sentence: str, tmp_path: Path) -> dict[str, Any]:
    def script(call: Call) -> Iterable[event_pb2.ScoreEvent | AssayError]:
        judged = result()
        judged.model.preprocessing_fingerprint = read_checkpoint(NANO).preprocessing_fingerprint
        judged.windows[0].reasoning = f"1.1 Reason for Composition Score: {sentence}\n1.2 Composition Score: 7"
        return [started(), event_pb2.ScoreEvent(result=judged)]

    photo().save(tmp_path / "photo.png")
    with ScriptedGateway(script) as gateway:
        files = ["--out", str(tmp_path / "claims.json"), "--page", str(tmp_path / "claims.html")]
        assert main(["claims", "--photos", str(tmp_path), "--server", gateway.address, *files]) == 0
    return dict(json.loads((tmp_path / "claims.json").read_text()))


@pytest.mark.parametrize(("sentence", "share"), [(TRUE, 1.0), (LIE, 0.0)])
def test_a_claim_is_measured_in_the_file_that_was_sent(sentence: str, share: float, tmp_path: Path) -> None:
    assert measured(sentence, tmp_path)["kinds"]["light"]["true"] == share


def test_a_sentence_without_claims_counts_for_nothing(tmp_path: Path) -> None:
    assert measured("there is no order in the picture", tmp_path)["all"] == {"n": 0, "true": None}


def test_the_page_marks_what_is_false(tmp_path: Path) -> None:
    measured(LIE, tmp_path)
    said = (tmp_path / "claims.html").read_text()
    assert '<mark class="false" title="light: strong">even light</mark>' in said
