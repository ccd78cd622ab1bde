"""The ten attributes of the paper."""

import pytest

from assay.attribute import KINDS, Attribute


def test_there_are_nine_graded_attributes_and_one_described_in_words():
    assert [kind.is_graded for kind in KINDS.values()].count(True) == 9
    assert len(KINDS) == 10


def test_grades_count_from_one_in_their_order():
    assert Attribute("clarity", "very clear").ordinal == 4


def test_an_unknown_attribute_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"sharpness.*clarity"):
        Attribute("sharpness", "high")


def test_a_grade_of_another_attribute_is_refused():
    with pytest.raises(ValueError, match="cluttered"):
        Attribute("clarity", "cluttered")


def test_probabilities_must_cover_every_grade():
    with pytest.raises(ValueError, match="each of"):
        Attribute("level_shot", "yes", {"yes": 1.0})
