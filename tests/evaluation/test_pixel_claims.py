"""A sentence's claims are read and measured anew, and a false one is found."""

import numpy as np
import pytest
from PIL import Image

from evaluation.pixel_claims import balanced_accuracy, check, claims_in
from training import claims, wording
from training.claims import TONE

GRADES = {"composition": "7", "eye_catching": "3"}


def picture(seed: int) -> Image.Image:
    """Two fields of light and colour under noise."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((120, 160, 3))
    pixels[:, :80], pixels[:, 80:] = rng.integers(10, 245, (2, 3))
    noise = rng.normal(0, rng.integers(2, 16), pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def said_of(shown: Image.Image) -> str:
    measured = claims.measured(np.asarray(shown))
    reasons = (wording.composition_reason(GRADES)[0], wording.eye_catching_reason(GRADES)[0])
    return "\n".join(wording.written(pieces, measured) for pieces in reasons)


def test_every_claim_of_a_sentence_is_read_as_it_was_written() -> None:
    for seed in range(10):
        measured = claims.measured(np.asarray(picture(seed)))
        read = claims_in(said_of(picture(seed)))
        assert read == {name: measured[name] for name in read}
        assert len(read) == 7


def test_what_was_measured_in_the_pixels_is_nearly_always_true_by_the_other_means() -> None:
    shown = [picture(seed) for seed in range(20)]
    checked = [each for one in shown for each in check(said_of(one), one)]
    assert np.mean([each.is_true for each in checked]) > 0.85


@pytest.mark.parametrize(
    ("level", "said", "is_true"), [(20, "dark", True), (230, "dark", False), (20, "bright", False)]
)
def test_a_false_tone_is_found(level: int, said: str, is_true: bool) -> None:
    shown = Image.fromarray(np.full((60, 80, 3), level, np.uint8))
    (tone,) = check(f" moderate appeal: {TONE.words[said]}, and", shown)
    assert tone.is_true is is_true


def test_who_always_says_the_same_has_the_balanced_accuracy_of_chance() -> None:
    shown = [Image.fromarray(np.full((60, 80, 3), level, np.uint8)) for level in (20, 30, 120, 230)]
    checked = [each for one in shown for each in check("a dark picture", one)]
    assert balanced_accuracy(checked, TONE) == pytest.approx(1 / 3)
