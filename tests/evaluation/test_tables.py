"""evaluation/tables.py: ours next to the claim, and nothing dropped."""

import pytest

from evaluation.claims import GROUPS
from evaluation.paired import compare
from evaluation.runs import DIRECT, REASONED
from evaluation.tables import ReportTable, claimed_tables, compared_table
from tests.evaluation.scored import run_of

SCORES: list[float | str] = [1.0, 2.0, 3.0, "UNREADABLE_VERDICT", 5.0, "BAD_MEDIA"]
MOS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def koniq(table: ReportTable) -> dict[str, str]:
    return dict(zip(table.head, table.rows[0], strict=True))


def test_an_unreadable_row_stands_next_to_the_coefficient() -> None:
    row = koniq(claimed_tables([run_of(SCORES, MOS)])[0])
    assert (row["n"], row["scored"], row["unreadable"], row["failed"]) == ("6", "4", "1", "1")


def test_the_reasons_of_failures_are_reported_below_the_table() -> None:
    reported = claimed_tables([run_of(SCORES, MOS)])[0].text()
    assert "1 UNREADABLE_VERDICT, 1 BAD_MEDIA" in reported


def test_the_claim_is_quoted_as_the_papers() -> None:
    row = koniq(claimed_tables([run_of(SCORES, MOS)])[0])
    assert (row["claimed SRCC"], row["claimed PLCC"]) == ("0.948", "0.959")


def test_what_was_not_measured_says_so() -> None:
    assert all("not measured" in row for table in claimed_tables([]) for row in table.rows)


def test_every_claim_has_a_row_without_any_run() -> None:
    assert sum(len(table.rows) for table in claimed_tables([])) == sum(map(len, GROUPS.values()))


def test_a_run_without_a_claim_is_shown_all_the_same() -> None:
    assert "further" in claimed_tables([run_of(SCORES, MOS, data_set="para")])[-1].title.lower()


def test_scores_of_two_models_get_no_coefficient() -> None:
    assert koniq(claimed_tables([run_of(SCORES, MOS, models=2)])[0])["SRCC"] == "scored by more than one model"


def test_a_comparison_says_how_many_files_it_stands_on() -> None:
    run = run_of(SCORES, MOS)
    table = compared_table("direct against CoT", ("direct", "CoT"), compare(run, run, (DIRECT, REASONED)))
    assert "4 of 6 files have both scores" in table.notes[0]


@pytest.mark.parametrize("table", claimed_tables([run_of(SCORES, MOS)]), ids=lambda table: table.title)
def test_markdown_has_as_many_cells_in_every_line(table: ReportTable) -> None:
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
