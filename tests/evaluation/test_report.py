"""evaluation/report.py: numbers, and lines for a terminal."""

import json
from pathlib import Path

import pytest

from assay.client import judgement_from_wire
from evaluation import report
from evaluation.measure import Failed, MeasureOptions, Outcome
from tests.assay import scripted_gateway

SCORED = judgement_from_wire(scripted_gateway.result())
OUTCOMES: list[Outcome] = [SCORED, Failed("BAD_MEDIA", "no picture"), Failed("UNREADABLE_VERDICT", "no number")]


async def measured() -> report.Report:
    return {"n": len(OUTCOMES)}, OUTCOMES, "a table"


def test_the_opening_counts_what_failed_by_its_reason() -> None:
    numbers = report.opening(OUTCOMES, MeasureOptions("127.0.0.1:1"))
    assert (numbers["n"], numbers["unreadable"], numbers["failures"]["BAD_MEDIA"]) == (3, 1, 1)
    assert [model["name"] for model in numbers["models"]] == ["scripted"]


def test_the_opening_is_read_on_a_terminal() -> None:
    lines = report.opening_lines(report.opening(OUTCOMES, MeasureOptions("127.0.0.1:1")))
    assert any("3 files, 1 unreadable" in line for line in lines)
    assert any("1 BAD_MEDIA, 1 UNREADABLE_VERDICT" in line for line in lines)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert report.columns(("name", "n"), [("a", "100")]) == ["name    n", "a     100"]


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.5, "0.500")])
def test_a_number_that_is_not_there_is_a_dash(value: float | None, text: str) -> None:
    assert report.cell(value) == text


def test_nothing_has_no_share() -> None:
    assert (report.share(0, 0), report.share(1, 4)) == (None, 0.25)


def test_what_failed_is_the_exit_code_and_is_named_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert report.printed(measured(), tmp_path / "out.json") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("BAD_MEDIA")) == ("a table\n", 1)
    assert json.loads((tmp_path / "out.json").read_text()) == {"n": 3}


def test_numbers_that_json_does_not_know_leave_the_file_as_it_was(tmp_path: Path) -> None:
    report.write_json({"n": 1}, tmp_path / "out.json")
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.write_json({"n": float("nan")}, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {"n": 1}
