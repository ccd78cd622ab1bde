"""Labels by construction move the way they say."""

from itertools import pairwise

import numpy as np
import pytest

from training import degrade, labels
from training.degrade import Degradation
from training.labels import Made, PixelStatistics, Truth

STATISTICS = PixelStatistics(luma=0.45, chroma=0.2, middle_edges=0.1, border_edges=0.1)
RISING = {
    "blur": (0.3, 1, 2, 4, 8),
    "motion": (2, 6, 12, 24),
    "downscale": (1, 2, 4, 8),
    "noise": (4, 20, 60, 140),
    "jpeg": (95, 75, 50, 25, 10, 3),
    "webp": (90, 50, 20, 2),
    "underexpose": (0.2, 1, 2, 4, 6),
    "overexpose": (0.2, 1, 2, 3),
    "desaturate": (0.9, 0.6, 0.3, 0.0),
    "oversaturate": (1.2, 1.8, 2.6, 3.4),
}


def truth_of(*degradations: Degradation, mos: float = 3.4, tilt_degrees: float = 0.0) -> Truth:
    return labels.truth(Made(mos, mos, tilt_degrees, degradations=degradations), STATISTICS)


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_the_score_falls_with_every_step_of_a_degradation(kind: str) -> None:
    scores = [truth_of().score, *(truth_of(Degradation(kind, amount)).score for amount in RISING[kind])]
    assert all(later < earlier for earlier, later in pairwise(scores))


def test_two_photos_keep_their_order_under_the_same_blur() -> None:
    blur = Degradation("blur", 1.0)
    assert truth_of(blur, mos=4.0).score > truth_of(blur, mos=3.0).score


def test_a_stop_less_light_shows_in_exposure_and_not_in_clarity() -> None:
    dark = truth_of(Degradation("underexpose", 1.0))
    assert (dark.exposure < truth_of().exposure, dark.clarity) == (True, truth_of().clarity)


def test_four_times_the_colour_hurts_less_than_losing_half_of_it() -> None:
    strong, weak = (truth_of(Degradation(kind, x)) for kind, x in (("oversaturate", 4.0), ("desaturate", 0.5)))
    assert weak.score < strong.score < truth_of().score


def test_a_tilted_picture_is_not_level() -> None:
    assert (truth_of(tilt_degrees=8).level_shot < 1, truth_of().level_shot > 1) == (True, True)


def test_without_colour_there_is_ultra_low_saturation() -> None:
    assert truth_of(Degradation("desaturate", 0.0)).saturation < 1


@pytest.mark.parametrize(("quality", "grade"), [(50, 2), (20, 1), (4, 0)])
def test_jpeg_is_graded_by_its_quality_on_a_clear_photo(quality: int, grade: int) -> None:
    assert int(truth_of(Degradation("jpeg", quality), mos=3.8).clarity) == grade


@pytest.mark.parametrize(("stops", "grade"), [(0.3, 2), (1.25, 3), (3.0, 4)])
def test_exposure_is_graded_by_stops(stops: float, grade: int) -> None:
    assert int(truth_of(Degradation("overexpose", stops)).exposure) == grade


def test_what_the_stage_1_model_says_stands_for_an_untouched_photo() -> None:
    truth = labels.truth(Made(3, 3, content={"background_clutter": 0.5}), STATISTICS)
    assert truth.background_clutter == 0.5


def test_a_tilt_outweighs_what_the_stage_1_model_says_of_the_level_photo() -> None:
    assert labels.truth(Made(3, 3, tilt_degrees=5, content={"level_shot": 1.5}), STATISTICS).level_shot < 1


def test_a_grade_that_somebody_gave_falls_with_blur() -> None:
    graded = {"clarity": 3.5}
    whole = labels.truth(Made(2, 2, graded=graded), STATISTICS).clarity
    blurred = labels.truth(Made(2, 2, degradations=(Degradation("blur", 3.0),), graded=graded), STATISTICS).clarity
    assert (whole, blurred < 2) == (3.5, True)


def test_a_frozen_clip_scores_less_than_one_that_moves() -> None:
    assert labels.truth(Made(3, 3, motion_damage=0.4), STATISTICS).score < truth_of(mos=3).score


def test_a_soft_grade_is_most_probable_where_the_label_lies() -> None:
    shares = labels.grade_probabilities(place=2.4, grades=4, spread=0.6)
    assert int(np.argmax(shares)) == 2
