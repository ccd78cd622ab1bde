"""Truth: the grade that known damage deserves, and turns without black corners."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evaluation.ladder import encoded
from evaluation.truth import RULES, TURNS_DEGREES, UNDAMAGED, damaged_file, level_shot, turned

STRENGTHS = st.floats(-10, 100, allow_nan=False)


@given(st.sampled_from(sorted(RULES)), STRENGTHS, STRENGTHS)
def test_more_of_the_same_never_turns_back_in_the_order_of_grades(name: str, one: float, other: float) -> None:
    rule = RULES[name]
    places = [rule.grades.index(rule.grade(strength)) for strength in sorted((one, other))]
    assert places == sorted(places)


@pytest.mark.parametrize("name", RULES)
def test_every_grade_is_asked_about(name: str) -> None:
    rule = RULES[name]
    asked = {rule.grade(strength) for strength in rule.strengths} | {UNDAMAGED[rule.attribute]}
    assert asked == set(rule.grades)


@pytest.mark.parametrize(("name", "strength"), [("blur", 0.0), ("jpeg", 100.0), ("exposure", 0.0), ("saturation", 1.0)])
def test_no_damage_deserves_the_grade_of_an_undamaged_photo(name: str, strength: float) -> None:
    assert RULES[name].grade(strength) == UNDAMAGED[RULES[name].attribute]


def test_a_stop_too_much_is_slightly_overexposed() -> None:
    assert RULES["exposure"].grade(1.0) == "slightly overexposed"


@pytest.mark.parametrize(("degrees", "truth"), [(0.0, "yes"), (3.0, "no"), (-8.0, "no")])
def test_three_degrees_are_not_level(degrees: float, truth: str) -> None:
    assert level_shot(degrees) == truth


def test_two_degrees_are_not_asked_about() -> None:
    with pytest.raises(ValueError, match="neither level nor tilted"):
        level_shot(2.0)


@pytest.mark.parametrize("degrees", TURNS_DEGREES)
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (400, 100), (150, 150)], ids=str)
def test_a_turned_photo_has_no_black_corner(size: tuple[int, int], degrees: float) -> None:
    assert np.asarray(turned(Image.new("RGB", size, (255, 255, 255)), degrees)).min() == 255


def test_every_turn_gives_a_picture_of_one_size() -> None:
    picture = Image.new("RGB", (300, 200))
    assert len({turned(picture, degrees).size for degrees in TURNS_DEGREES}) == 1


def test_a_level_photo_is_interpolated_like_a_tilted_one() -> None:
    """Or softness would give the tilt away: a one-pixel checkerboard turns grey at half a pixel of shift."""
    board = np.indices((60, 60)).sum(axis=0) % 2 * 255
    picture = Image.fromarray(np.dstack([board] * 3).astype(np.uint8))
    assert np.asarray(turned(picture, 0.0), np.float64).std() < 40


def test_a_turn_beyond_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        turned(Image.new("RGB", (30, 20)), 9.0)


@pytest.mark.parametrize("name", RULES)
def test_damage_leaves_the_size_alone(name: str) -> None:
    picture = Image.new("RGB", (90, 60), (120, 90, 60))
    with Image.open(io.BytesIO(damaged_file(picture, name, RULES[name].strengths[-1]))) as damaged:
        assert damaged.size == (90, 60)


def test_the_jpeg_that_is_sent_is_the_damage_itself() -> None:
    picture = Image.new("RGB", (90, 60), (120, 90, 60))
    assert damaged_file(picture, "jpeg", 15.0) == encoded(picture, "JPEG", quality=15)
