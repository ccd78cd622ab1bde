"""evaluation/figures.py: files that can be opened, of whatever runs there are."""

from pathlib import Path

import pytest
from PIL import Image

from data.tables import BadDataSet
from evaluation import figures
from tests.evaluation.scored import graded, run_of

RUN = run_of([1.0, "BAD_MEDIA", 3.0, 4.0], [1.5, 2.0, 2.5, 4.0])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_a_panel_stands_for_each_run(tmp_path: Path) -> None:
    one, two = (figures.scatter([RUN] * count, tmp_path / f"{count}.png") for count in (1, 2))
    assert size_of(two)[0] == 2 * size_of(one)[0]


@pytest.mark.parametrize("runs", [[], [RUN], [run_of([1.0, 2.0], [1, 2], models=2)]])
def test_claims_are_drawn_with_ours_or_without(tmp_path: Path, runs: list) -> None:
    assert size_of(figures.plot_claims(runs, tmp_path / "claims.png"))[0] > 500


def test_grades_are_drawn_by_how_well_they_go_with_the_mos(tmp_path: Path) -> None:
    grades = [{"clarity": grade} for grade in ("very blurry", "moderately clear", "very clear", "very clear")]
    assert size_of(figures.attributes(graded([1.0, 2.0, 3.0, 4.0], grades), tmp_path / "grades.png"))[0] > 100


def test_a_run_without_grades_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataSet):
        figures.attributes(RUN, tmp_path / "grades.png")
