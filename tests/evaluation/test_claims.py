"""docs/paper.md says of every row that the paper prints whether it can be repeated, with commands that exist."""

import re
from pathlib import Path

import pytest

from evaluation.__main__ import COMMANDS
from evaluation.claims import ABLATIONS, GROUPS, KONVID_BASE_SRCC, AblationClaim, Claim
from training.__main__ import COMMANDS as TRAINING

PAGE = Path("docs/paper.md").read_text(encoding="utf-8")


def printed(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


@pytest.mark.parametrize("claim", [claim for claims in GROUPS.values() for claim in claims], ids=lambda c: c.data_set)
def test_every_main_result_has_a_row(claim: Claim) -> None:
    reported = printed(claim.srcc) + (f" / {printed(claim.plcc)}" if claim.plcc else "")
    assert [line for line in PAGE.splitlines() if line.startswith("|") and reported in line]


def test_the_base_model_has_a_row() -> None:
    assert f"| {printed(KONVID_BASE_SRCC)} |" in PAGE


@pytest.mark.parametrize("claim", ABLATIONS, ids=lambda c: f"{c.run} {c.measure}")
def test_every_ablation_has_a_row_with_the_run_that_repeats_it(claim: AblationClaim) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and claim.claimed in line]
    assert rows
    assert claim.run in "".join(rows) or claim.measure in ("ncm_star_paper", "loss")


@pytest.mark.parametrize(("program", "known"), [("evaluation", COMMANDS), ("training", TRAINING)])
def test_every_command_exists(program: str, known: dict[str, object]) -> None:
    asked = set(re.findall(rf"-m {re.escape(program)} ([a-z0-9-]+)", PAGE))
    assert asked
    assert asked <= set(known)


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:training|evaluation|tests|checkpoints)/[\w/.-]+\.\w+)`", PAGE))
    assert [name for name in named if not Path(name).exists()] == []
