"""data/labels.py: a row per file and item, checked as it is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from data import labels
from data.labels import Label
from data.tables import BadDataSet

GRADE = Label("a.jpg", "clarity", "very clear", "0.9", "", "", "model nano c0ffee beef", "", "")
SCORED = Label("a.jpg", "score", "6.5", "", "0.4", "0..10", "model nano c0ffee beef", "", "")


def test_labels_come_back_as_they_were_written(tmp_path: Path) -> None:
    labels.write([GRADE, SCORED], tmp_path / "labels.csv")
    assert labels.read(tmp_path / "labels.csv") == [GRADE, SCORED]


@pytest.mark.parametrize(
    ("label", "culprit"),
    [
        (replace(GRADE, item="claerity"), "unknown item 'claerity'"),
        (replace(GRADE, value="crisp"), "clarity has no grade 'crisp'"),
        (replace(SCORED, value="11"), "a score on 0..10 cannot be '11'"),
        (replace(SCORED, value="high"), "cannot be 'high'"),
        (replace(SCORED, scale="ten"), "'ten' is no scale"),
    ],
)
def test_what_cannot_be_is_refused_by_line_and_name(tmp_path: Path, label: Label, culprit: str) -> None:
    labels.write([label], tmp_path / "labels.csv")
    with pytest.raises(BadDataSet, match=rf"labels\.csv.*{culprit}"):
        labels.read(tmp_path / "labels.csv")


def test_two_labels_for_one_item_are_refused(tmp_path: Path) -> None:
    labels.write([GRADE, GRADE], tmp_path / "labels.csv")
    with pytest.raises(BadDataSet, match="two labels for clarity"):
        labels.read(tmp_path / "labels.csv")


def test_grades_are_by_attribute_and_file_without_scores_and_words() -> None:
    words = replace(GRADE, item="subject_and_background", value="a dog")
    assert labels.grades([GRADE, SCORED, words]) == {"clarity": {"a.jpg": "very clear"}}
