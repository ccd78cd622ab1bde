"""Grades + weights -> composite score."""

import json

import pytest

from assay.attribute import KINDS, Attribute
from assay.composite import FEATURES, CompositeWeights, coded, composite_score, weights_from_json
from assay.errors import CheckpointError


def weights(**weighing: float) -> CompositeWeights:
    named = {name.replace("__", "."): weight for name, weight in weighing.items()}
    return CompositeWeights(minimum=0, maximum=10, intercept=2, weights=named)


@pytest.mark.parametrize(("grade", "distance"), [*zip(KINDS["exposure"].grades, [2, 1, 0, 1, 2], strict=True)])
def test_a_bipolar_attribute_is_coded_as_its_distance_from_the_middle(grade, distance):
    assert coded("exposure.distance", Attribute("exposure", grade).ordinal) == distance


def test_a_bipolar_attribute_is_coded_as_its_place_too():
    assert [coded("saturation", place) for place in range(1, 6)] == [1, 2, 3, 4, 5]


def test_only_the_two_bipolar_attributes_have_a_distance():
    assert [name for name in FEATURES if "." in name] == ["exposure.distance", "saturation.distance"]


def test_the_score_is_the_weighted_sum():
    reported = [Attribute("composition", "7"), Attribute("exposure", "overexposed")]
    assert composite_score(reported, weights(composition=1, exposure__distance=-1.5)).value == 2 + 7 - 3


def test_a_doubtful_grade_counts_by_its_probabilities():
    reported = Attribute("level_shot", "yes", {"no": 0.25, "yes": 0.75})
    assert composite_score([reported], weights(level_shot=2)).value == 2 + 2 * 1.75


def test_a_doubtful_grade_makes_a_doubtful_score():
    reported = Attribute("level_shot", "yes", {"no": 0.5, "yes": 0.5})
    assert composite_score([reported], weights(level_shot=2)).standard_deviation == 1.0


def test_a_score_never_leaves_its_scale():
    assert composite_score([Attribute("composition", "10")], weights(composition=5)).value == 10


def test_there_is_no_score_if_an_attribute_that_weighs_was_not_reported():
    assert composite_score([Attribute("composition", "7")], weights(composition=1, clarity=1)) is None


def test_what_weighs_nothing_need_not_be_reported():
    assert composite_score([Attribute("clarity", "very clear")], weights(clarity=1)) is not None


def test_weights_survive_the_file():
    assert weights_from_json(weights(clarity=0.5).model_dump_json(), "acme.json") == weights(clarity=0.5)


@pytest.mark.parametrize(
    ("change", "culprit"),
    [
        ({"weights": {"charm": 1}}, "charm"),
        ({"weights": {}}, "weights"),
        ({"weights": {"clarity": "NaN"}}, "clarity"),
        ({"maximum": 0}, "scale rises"),
        ({"wieghts": {}}, "wieghts"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(change, culprit):
    written = json.loads(weights(clarity=0.5).model_dump_json()) | change
    with pytest.raises(CheckpointError, match=rf"acme\.json.*{culprit}"):
        weights_from_json(json.dumps(written), "acme.json")
