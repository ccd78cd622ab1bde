import csv

import pytest

from data import labels
from data.__main__ import main
from data.attribute_correlation import MIDDLE, MONOTONE, table
from data.labels import Label
from data.rated import load
from data.tables import BadDataSet
from tests.data import lessons


def by_coding(rows):
    return {(row.attribute, row.coding): row for row in rows}


EXPOSURES = ("underexposed", "properly exposed", "overexposed")


def test_an_attribute_in_the_order_of_the_mos_correlates_fully():
    rows = table(
        {"clarity": {"a": "very blurry", "b": "moderately clear", "c": "very clear"}}, {"a": 1, "b": 2, "c": 5}
    )
    assert by_coding(rows)["clarity", MONOTONE].srcc == pytest.approx(1)


def test_a_bipolar_attribute_that_is_best_in_the_middle_shows_it():
    grades = {"exposure": dict(zip("abc", EXPOSURES, strict=True))}
    rows = by_coding(table(grades, {"a": 1.0, "b": 4.0, "c": 1.0}))
    assert (rows["exposure", MONOTONE].srcc, rows["exposure", MIDDLE].srcc) == pytest.approx((0, 1))


def test_grades_that_are_all_the_same_have_no_correlation():
    assert table({"level_shot": {"a": "yes", "b": "yes"}}, {"a": 1, "b": 2})[0].srcc is None


def test_a_grade_without_a_mos_is_an_error():
    with pytest.raises(BadDataSet, match="b has a grade of level_shot, and no MOS"):
        table({"level_shot": {"b": "yes"}}, {"a": 1})


def test_the_command_writes_a_table_and_a_plot(mini, tmp_path, capsys):
    root = mini("spaq")
    said = [
        Label(each.path.relative_to(root).as_posix(), name, grade, "0.9", "", "", "model nano a b", "", "")
        for each in load("spaq", root).test
        for name, grade in lessons.grades(each.score / 10).items()
    ]
    labels.write(said, tmp_path / "labels.csv")
    out, plot = tmp_path / "table.csv", tmp_path / "figure.png"
    where = ["--root", str(root), "--labels", str(tmp_path / "labels.csv"), "--out", str(out), "--plot", str(plot)]
    main(["attributes", "spaq", *where])
    with out.open() as text:
        assert (len(list(csv.DictReader(text))), plot.stat().st_size > 5000) == (11, True)
