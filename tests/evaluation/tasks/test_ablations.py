"""evaluation/tasks/ablations.py: what training left behind, next to the paper's claims."""

import json
from pathlib import Path

import pytest

from data import labels
from data.labels import Label
from data.rated import load
from evaluation.claims import ABLATIONS, AblationClaim
from evaluation.tables import NOT_MEASURED, ablations_table
from evaluation.tasks.ablations import NO_PEOPLE, AblationRuns, measured
from tests.conftest import Miniatures
from tests.data.miniature import realqa_people
from training.recipe.ablations import read_ablations


@pytest.fixture
def data(mini: Miniatures, tmp_path: Path) -> Path:
    """Both sets in one folder."""
    for name in ("koniq", "realqa"):
        (tmp_path / name).symlink_to(mini(name))
    return tmp_path


def sources(data: Path, runs: Path, *, with_people: bool = True) -> AblationRuns:
    people = labels.grades(realqa_people()) if with_people else None
    return AblationRuns(runs, "koniq", data / "koniq", data / "realqa", people)


def scored(data: Path, runs: Path, name: str, files: int = 6) -> None:
    """A run that ranks KonIQ's test files rightly."""
    (runs / name).mkdir(parents=True)
    rated = load("koniq", data / "koniq").test[:files]
    labels.write(
        (
            Label(str(each.path.relative_to(data / "koniq")), "score", f"{each.score}", "", "", "0..10", "model m a b",
                  "", "")
            for each in rated
        ),
        runs / name / "labels.csv",
    )  # fmt: skip


def cell(found: dict[AblationClaim, str], setting: str, measure: str) -> str:
    return next(said for claim, said in found.items() if (claim.setting, claim.measure) == (setting, measure))


def test_every_claim_names_a_run_that_can_be_made() -> None:
    assert {claim.run for claim in ABLATIONS} == set(read_ablations())


def test_what_was_not_run_says_so() -> None:
    assert all(NOT_MEASURED in row for row in ablations_table().rows)


def test_a_run_of_scores_has_its_coefficients(data: Path, tmp_path: Path) -> None:
    scored(data, tmp_path, "digits_1")
    found = dict(measured(sources(data, tmp_path)))
    assert cell(found, "M=1", "score").startswith("koniq 1.000 [")


def test_files_without_a_label_are_counted_next_to_the_coefficient(data: Path, tmp_path: Path) -> None:
    scored(data, tmp_path, "head_2_epochs", files=4)
    said = cell(dict(measured(sources(data, tmp_path))), "head, 2 epochs", "score")
    assert said.endswith("n 6, 2 without a label")


def test_grades_as_people_gave_them_agree_fully(data: Path, tmp_path: Path) -> None:
    (tmp_path / "mix_only").mkdir()
    labels.write(realqa_people(), tmp_path / "mix_only" / "labels.csv")
    said = cell(dict(measured(sources(data, tmp_path))), "Mix", "grades")
    assert said.startswith("realqa 1.000 / 1.000")
    without = dict(measured(sources(data, tmp_path, with_people=False)))
    assert cell(without, "Mix", "grades") == NO_PEOPLE


def test_ncm_is_read_from_the_log_of_the_run(data: Path, tmp_path: Path) -> None:
    (tmp_path / "lora").mkdir()
    lines = [{"step": step, "loss": 2.0 / step, "ncm_direct": 4.0 / step, "ncm_cot": None} for step in (1, 2)]
    (tmp_path / "lora" / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = dict(measured(sources(data, tmp_path)))
    assert cell(found, "LoRA", "ncm") == "direct 4.00 -> 2.00, CoT no such rows"
    assert cell(found, "LoRA", "loss") == "2.00 -> 1.00"
