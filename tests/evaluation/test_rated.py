"""evaluation/rated.py: scores that were not served, as a run in which nothing is dropped."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from data import labels
from data.labels import Label
from data.rated import load
from evaluation.__main__ import main
from evaluation.rated import labelled_run
from evaluation.runs import FINAL, BadRun, Run, read_run
from tests.conftest import Miniatures

Captured = pytest.CaptureFixture[str]
BY = "model regression-head c0ffee beef"


@pytest.fixture
def koniq(mini: Miniatures) -> Path:
    return mini("koniq")


def files_of(koniq: Path) -> list[str]:
    return [each.path.relative_to(koniq).as_posix() for each in load("koniq", koniq).test]


def table(files: Sequence[str], out: Path) -> Path:
    """Scores that rise from file to file."""
    labels.write(
        (Label(file, "score", f"{place}.5", "", "", "0..10", BY, "", "") for place, file in enumerate(files)), out
    )
    return out


def run_of(file: Path, koniq: Path, form: str = "direct") -> Run:
    return labelled_run(file, "koniq", "koniq", koniq, form)


def test_scores_meet_the_mos_of_their_files(koniq: Path, tmp_path: Path) -> None:
    run = run_of(table(files_of(koniq), tmp_path / "l.csv"), koniq)
    scores, mos = run.pairs(FINAL)
    assert scores.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert mos.tolist() == [each.mos for each in load("koniq", koniq).test]


def test_a_file_without_a_label_is_a_row_without_a_score(koniq: Path, tmp_path: Path) -> None:
    run = run_of(table(files_of(koniq)[:4], tmp_path / "l.csv"), koniq)
    assert (run.counts()["n"], run.counts()["failed"], run.failures()) == (6, 2, {"NO_LABEL": 2})


def test_a_file_of_another_split_is_refused_by_name(koniq: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRun, match=r"512x384/another\.jpg"):
        run_of(table([*files_of(koniq), "512x384/another.jpg"], tmp_path / "l.csv"), koniq)


def test_who_scored_is_reported_with_fingerprints(koniq: Path, tmp_path: Path) -> None:
    (model,) = run_of(table(files_of(koniq), tmp_path / "l.csv"), koniq).models
    assert (model["name"], model["checkpoint_fingerprint"]) == ("regression-head", "c0ffee")


def test_a_set_that_was_trained_on_whole_is_not_tested_on(mini: Miniatures, tmp_path: Path) -> None:
    spaq = mini("spaq")
    file = table([], tmp_path / "l.csv")
    with pytest.raises(BadRun, match="spaq has no published split"):
        labelled_run(file, "spaq", "spaq", spaq, "direct")
    assert labelled_run(file, "spaq", "koniq", spaq, "direct").counts()["n"] == 18
    assert labelled_run(file, "spaq", "spaq", spaq, "direct", held_out_share=0.2).counts()["n"] < 9


def test_a_published_split_is_respected(koniq: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRun, match="published split"):
        labelled_run(table([], tmp_path / "l.csv"), "koniq", "koniq", koniq, "direct", held_out_share=0.5)


def test_a_head_is_a_further_run_and_not_the_papers_main_row(koniq: Path, tmp_path: Path, capsys: Captured) -> None:
    file = table(files_of(koniq), tmp_path / "l.csv")
    read = ["--data-set", "koniq", "--data", str(koniq), "--trained-on", "koniq", "--labels", str(file)]
    assert main(["from-labels", *read, "--form", "regression head", "--out", str(tmp_path / "run.json")]) == 0
    reported = capsys.readouterr().out
    assert "regression head not served" in reported[reported.index("Further runs") :]
    assert read_run(tmp_path / "run.json").counts()["scored"] == 6
