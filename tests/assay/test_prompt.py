"""Model specification + form name -> question and form."""

import pytest

from assay.checkpoint import AnswerTemplate, GradeCalibration, WordRules
from assay.errors import CheckpointError
from assay.form import Choice, Digits, Free, Literal
from assay.prompt import answer_form, grade_of_option, question
from tests.checkpoints import small_checkpoint


def with_answer(answer: str, **more: object):
    template = AnswerTemplate(question_image="?", question_video="?", answer=answer)
    return small_checkpoint().model_copy(update={"form": {"direct": template}, **more})


def test_a_video_is_asked_about_as_a_video():
    assert question(small_checkpoint(), "direct", is_video=True) == "Rate the quality of this video."


def test_the_regular_form_names_every_segment_after_what_it_tells():
    names = [segment.name for segment in answer_form(small_checkpoint(), "regular") if not isinstance(segment, Literal)]
    assert names == ["composition_reason", "composition", "subject", "background", "clarity", "score"]


def test_the_direct_form_is_a_sentence_around_the_digits():
    assert answer_form(small_checkpoint(), "direct").segments == (
        Literal("The quality score of this image is"),
        Digits("score", lead=" "),
        Literal("."),
    )


def test_a_free_text_ends_where_the_checkpoint_says():
    assert answer_form(small_checkpoint(), "natural").named("reasoning") == Free(
        "reasoning", 200, (" The final score is <",)
    )


def test_a_subject_may_be_one_word_of_a_list_with_a_bias_for_the_unsure_one():
    rules = WordRules(options=(" a dog", " the scene"), bias={" the scene": 0.5})
    named = with_answer("{subject}{score}", words={"subject": rules})
    assert answer_form(named, "direct").named("subject") == Choice(
        "subject", (" a dog", " the scene"), biases=(0.0, 0.5)
    )


@pytest.mark.parametrize(
    ("name", "bias", "culprit"),
    [("clarity_", {}, "'clarity_' is no free text"), ("subject", {" a god": 1.0}, "'subject' has no option ' a god'")],
)
def test_words_of_what_is_no_free_text_or_no_option_are_refused_by_name(name, bias, culprit):
    rules = WordRules(options=(" a dog", " the scene"), bias=bias)
    named = with_answer(f"{{{name}}}{{score}}", words={name: rules})
    with pytest.raises(CheckpointError, match=culprit):
        answer_form(named, "direct")


def test_a_checkpoint_may_word_its_grades_differently():
    worded = with_answer("{level_shot}{score}", wording={"level_shot": {"yes": " straight"}})
    assert answer_form(worded, "direct").named("level_shot") == Choice("level_shot", (" no", " straight"))


@pytest.mark.parametrize("reading", ["likeliest", "median"])
def test_grades_are_read_as_the_checkpoint_says(reading):
    form = answer_form(small_checkpoint().model_copy(update={"grade_reading": reading}), "regular")
    assert {segment.reading for segment in form if isinstance(segment, Choice)} == {reading}


def test_a_grade_may_be_read_more_strictly_than_the_others():
    strict = small_checkpoint().model_copy(update={"grade_reading": "median", "grade_quantile": {"clarity": 0.25}})
    form = answer_form(strict, "regular")
    read = {segment.name: segment.quantile for segment in form if isinstance(segment, Choice)}
    assert read == {**dict.fromkeys(read, 0.5), "clarity": 0.25}


def test_a_share_for_what_is_no_graded_attribute_is_refused():
    misspelt = small_checkpoint().model_copy(update={"grade_quantile": {"clarty": 0.25}})
    with pytest.raises(CheckpointError, match="clarty"):
        answer_form(misspelt, "regular")


def test_an_option_leads_back_to_its_grade():
    worded = with_answer("{level_shot}{score}", wording={"level_shot": {"yes": " straight"}})
    assert grade_of_option(worded, "level_shot", " straight") == "yes"


@pytest.mark.parametrize(("answer", "culprit"), [("{charm} {score}", "charm"), ("no number", "score")])
def test_a_template_that_cannot_be_filled_in_is_refused_by_name(answer, culprit):
    with pytest.raises(CheckpointError, match=culprit):
        answer_form(with_answer(answer), "direct")


def test_a_form_that_the_checkpoint_lacks_is_refused_with_those_it_has():
    with pytest.raises(CheckpointError, match=r"regular.*direct"):
        question(with_answer("{score}"), "regular", is_video=False)


def test_a_calibrated_grade_has_a_bias_for_each_of_its_options():
    toml = {"clarity": GradeCalibration(temperature=1.5, bias={"very clear": -0.5})}
    form = answer_form(small_checkpoint().model_copy(update={"grade_calibration": toml}), "regular")
    clarity = form.named("clarity")
    assert (clarity.temperature, clarity.biases) == (1.5, (0.0, 0.0, 0.0, -0.5))


@pytest.mark.parametrize(
    ("attribute", "grade", "culprit"), [("clarty", "no", "not graded"), ("clarity", "sharp", "no grade 'sharp'")]
)
def test_a_calibration_of_what_is_not_graded_is_refused(attribute, grade, culprit):
    misspelt = {attribute: GradeCalibration(bias={grade: 1.0})}
    with pytest.raises(CheckpointError, match=culprit):
        answer_form(small_checkpoint().model_copy(update={"grade_calibration": misspelt}), "regular")
