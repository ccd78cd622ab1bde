"""evaluation/people.py: grades against people's."""

from pathlib import Path

import pytest

from data import labels
from data.labels import Label
from evaluation.__main__ import main
from evaluation.people import agreement, mean_of, people_table
from evaluation.runs import BadRun, write_run
from tests.evaluation.scored import graded

CLARITY = ("very blurry", "moderately blurry", "moderately clear", "very clear")
RUN = graded([1.0, 2.0, 3.0, 4.0], [{"clarity": grade, "composition": "5"} for grade in CLARITY])


def people(*grades: str) -> dict[str, dict[str, str]]:
    same = {f"{place}.jpg": "5" for place in range(4)}
    return {"clarity": {f"{place}.jpg": grade for place, grade in enumerate(grades)}, "composition": same}


def test_grades_in_the_order_of_people_correlate_fully() -> None:
    found = {each.attribute: each for each in agreement(RUN, people(*CLARITY))}
    assert (found["clarity"].srcc, found["clarity"].n) == (pytest.approx(1.0), 4)


def test_an_attribute_that_says_the_same_of_everything_has_no_coefficient_and_is_reported() -> None:
    found = agreement(RUN, people(*CLARITY))
    assert mean_of(found) == "1.000 / 1.000 (of 1 of 9 attributes)"


def test_a_reversed_order_is_negative() -> None:
    assert mean_of(agreement(RUN, people(*CLARITY[::-1]))).startswith("-1.000 / -1.000")


def test_people_of_another_set_are_refused() -> None:
    with pytest.raises(BadRun, match="no file of this run"):
        agreement(RUN, {"clarity": {"elsewhere.jpg": "very clear"}})


def test_all_nine_attributes_and_the_mean_have_a_row() -> None:
    rows = people_table(RUN, people(*CLARITY)).rows
    assert len(rows) == 10
    assert rows[-1][0] == "mean"


def test_the_command_reads_a_run_and_a_table_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(RUN, tmp_path / "run.json")
    said = [
        Label(file, name, grade, "", "", "", "person me", "", "")
        for name, by_file in people(*CLARITY).items()
        for file, grade in by_file.items()
    ]
    labels.write(said, tmp_path / "people.csv")
    assert main(["attributes", str(tmp_path / "run.json"), "--people", str(tmp_path / "people.csv")]) == 0
    assert "clarity" in capsys.readouterr().out
