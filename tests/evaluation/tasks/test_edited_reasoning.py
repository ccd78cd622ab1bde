"""evaluation/tasks/edited_reasoning.py: agreement from runs, change from edited rows."""

import pytest

from assay.errors import UnreadableVerdict
from assay.v1 import event_pb2, score_pb2
from evaluation.edited import AS_WRITTEN, DIRECT, EditedRow
from evaluation.measure import Failed, MeasureOptions
from evaluation.rated import measured
from evaluation.tables import ReportTable
from evaluation.tasks.edited_reasoning import agreement_table, edits_table, goodness, tone
from tests.assay.scripted_gateway import ScriptedGateway, result, started
from tests.conftest import Miniatures
from tests.evaluation.scored import graded

GRADES = [{"composition": str(grade), "exposure": "properly exposed"} for grade in (2, 4, 6, 9)]


def row_of(table: ReportTable, name: str) -> dict[str, str]:
    return next(dict(zip(table.head, row, strict=True)) for row in table.rows if row[0] == name)


@pytest.mark.parametrize(
    ("name", "grade", "good"),
    [
        ("clarity", "very blurry", 0.0),
        ("clarity", "very clear", 1.0),
        ("exposure", "properly exposed", 1.0),
        ("exposure", "overexposed", 0.0),
        ("saturation", "low", 0.5),
        ("composition", "10", 1.0),
    ],
)
def test_how_good_a_grade_is(name: str, grade: str, good: float) -> None:
    assert goodness(name, grade) == pytest.approx(good)


def test_praise_counts_up_and_blame_counts_down() -> None:
    assert tone("Strong and clear, but the background is cluttered.") == 1


def test_grades_that_rise_with_the_score_agree_with_it() -> None:
    table = agreement_table(graded([1.0, 3.0, 5.0, 8.0], GRADES))
    assert row_of(table, "composition")["grade with score"] == "1.000"


def test_words_that_contradict_their_grades_are_observed() -> None:
    words = ["strong and clear", "good", "weak", "poor and blurry"]
    table = agreement_table(graded([1.0, 3.0, 5.0, 8.0], GRADES, words))
    assert float(row_of(table, "composition")["reason's tone with grade"]) < 0


def test_an_attribute_that_the_prose_leaves_out_is_counted() -> None:
    prose = graded([1.0, 3.0, 5.0, 8.0], [{"composition": "2"}, {"composition": "5"}, {}, {}])
    found = row_of(agreement_table(graded([1.0, 3.0, 5.0, 8.0], GRADES), prose), "composition")
    assert (found["prose = grade"], found["of"], found["not in the prose"]) == ("0.500", "2", "2")


def test_prose_that_cannot_be_read_is_counted_below_the_table(mini: Miniatures) -> None:
    unreadable = [UnreadableVerdict("the answer holds no score")]
    judged = [started(), event_pb2.ScoreEvent(result=result())]
    with ScriptedGateway(
        lambda call: unreadable if call.config.form == score_pb2.ANSWER_FORM_NATURAL else list(judged)
    ) as gateway:
        options = [MeasureOptions(gateway.address, form) for form in ("regular", "natural")]
        runs = [measured("koniq", "koniq", mini("koniq"), each) for each in options]
    assert any(note.startswith("natural form: n 6, scored 0, unreadable 6") for note in agreement_table(*runs).notes)


def edited() -> list[EditedRow]:
    scored = {DIRECT: 4.0, AS_WRITTEN: 5.0, "best grades": 6.0, "worst grades": 5.5}
    failed = {AS_WRITTEN: Failed("BAD_MEDIA", "no picture"), "best grades": Failed("BAD_MEDIA", "no picture")}
    return [EditedRow("a.jpg", 3.0, dict(scored)), EditedRow("b.jpg", 4.0, failures=failed)]


def test_the_change_is_that_to_the_reasoning_as_written() -> None:
    assert row_of(edits_table(edited()), "best grades")["mean change"] == "+1.000"


def test_a_score_that_rises_with_the_worst_grades_is_not_as_expected() -> None:
    found = edits_table(edited())
    assert (row_of(found, "best grades")["as expected"], row_of(found, "worst grades")["as expected"]) == (
        "1.000",
        "0.000",
    )


def test_a_picture_without_a_score_is_counted_under_its_edit() -> None:
    found = row_of(edits_table(edited()), "best grades")
    assert (found["n"], found["scored"], found["failed"]) == ("2", "1", "1")
