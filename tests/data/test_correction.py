import csv
from dataclasses import replace

import pytest

from data import labels
from data.__main__ import main
from data.correction import SHEET_COLUMNS, doubtful, merge, write_sheet
from data.labels import Label
from data.tables import BadDataSet, write_rows

BY = "model nano aa bb"
SURE = Label("a.jpg", "clarity", "very clear", "0.9300", "", "", BY, "", "")
UNSURE = Label("a.jpg", "exposure", "overexposed", "0.3100", "", "", BY, "", "")
SPREAD = Label("a.jpg", "score", "6.59", "", "1.900", "0..10", BY, "", "")
WORDS = Label("a.jpg", "subject_and_background", "a bed, in a room", "", "", "", BY, "", "")
SAID = [SURE, UNSURE, SPREAD, WORDS]


def sheet(path, *rows):
    write_rows(path, SHEET_COLUMNS, (dict(zip(SHEET_COLUMNS, row, strict=True)) for row in rows))
    return path


def test_labels_are_read_as_they_were_written(tmp_path):
    labels.write(SAID, tmp_path / "labels.csv")
    assert labels.read(tmp_path / "labels.csv") == SAID


def test_the_most_doubtful_comes_first():
    assert [each.label for each in doubtful(SAID)] == [SPREAD, UNSURE]


def test_what_a_person_said_is_not_in_doubt():
    assert doubtful([replace(UNSURE, by="person Ada")]) == []


def test_a_deviation_counts_in_tenths_of_its_scale():
    assert doubtful([replace(SPREAD, scale="0..100")]) == []


def test_a_sheet_with_corrections_is_not_written_over(tmp_path):
    write_sheet(doubtful(SAID), tmp_path / "sheet.csv")
    with pytest.raises(BadDataSet, match="may hold corrections"):
        write_sheet([], tmp_path / "sheet.csv")


def test_a_correction_says_who_made_it_and_what_stood_there_before(tmp_path):
    row = ("a.jpg", "exposure", "overexposed", "", "properly exposed", "Ada", "a lamp")
    merged = merge(SAID, sheet(tmp_path / "sheet.csv", row)).said[1]
    assert (merged.value, merged.by, merged.was, merged.note, merged.probability) == (
        "properly exposed",
        "person Ada",
        "overexposed",
        "a lamp",
        "",
    )


def test_rows_that_nobody_inspected_change_nothing(tmp_path):
    write_sheet(doubtful(SAID), tmp_path / "sheet.csv")
    merged = merge(SAID, tmp_path / "sheet.csv")
    assert (merged.said, merged.open) == (SAID, 2)


def test_the_same_value_is_a_confirmation(tmp_path):
    row = ("a.jpg", "score", "6.59", "", "6.59", "Ada", "")
    merged = merge(SAID, sheet(tmp_path / "sheet.csv", row))
    assert (merged.confirmed, merged.corrected, merged.said[2].by) == (1, 0, "person Ada")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (("a.jpg", "exposure", "overexposed", "", "too bright", "Ada", ""), "has no grade 'too bright'"),
        (("a.jpg", "exposure", "overexposed", "", "underexposed", "", ""), "person is empty"),
        (("a.jpg", "exposure", "underexposed", "", "overexposed", "Ada", ""), "the label is 'overexposed' by now"),
        (("b.jpg", "exposure", "overexposed", "", "underexposed", "Ada", ""), "exposure of b.jpg has no label"),
        (("a.jpg", "score", "6.59", "", "11", "Ada", ""), "a score on 0..10 cannot be '11'"),
    ],
)
def test_a_correction_that_cannot_be_is_an_error_that_names_its_line(tmp_path, row, complaint):
    with pytest.raises(BadDataSet, match=f"sheet.csv, line 2.*{complaint}"):
        merge(SAID, sheet(tmp_path / "sheet.csv", row))


def test_one_item_cannot_be_corrected_twice(tmp_path):
    row = ("a.jpg", "exposure", "overexposed", "", "underexposed", "Ada", "")
    with pytest.raises(BadDataSet, match=r"line 3: exposure of a\.jpg stands here twice"):
        merge(SAID, sheet(tmp_path / "sheet.csv", row, row))


def test_a_second_label_for_the_same_item_is_an_error(tmp_path):
    labels.write([SURE, SURE], tmp_path / "labels.csv")
    with pytest.raises(BadDataSet, match=r"line 3: a\.jpg has two labels for clarity"):
        labels.read(tmp_path / "labels.csv")


def test_a_round_goes_through_the_commands(tmp_path, capsys):
    files = [str(tmp_path / name) for name in ("labels.csv", "sheet.csv", "merged.csv")]
    labels.write(SAID, tmp_path / "labels.csv")
    main(["doubtful", files[0], "--sheet", files[1]])
    with (tmp_path / "sheet.csv").open() as text:
        rows = [row | {"correction": row["value"], "person": "Ada"} for row in csv.DictReader(text)]
    write_rows(tmp_path / "sheet.csv", SHEET_COLUMNS, rows)
    main(["merge", files[0], "--sheet", files[1], "--out", files[2]])
    assert [each.by for each in labels.read(tmp_path / "merged.csv")] == [BY, "person Ada", "person Ada", BY]
