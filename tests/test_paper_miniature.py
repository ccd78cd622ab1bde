"""`make paper-miniature` with the fewest steps and files: every stage, the real Triton, every table and figure."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from evaluation.claims import ABLATIONS
from evaluation.tables import NOT_MEASURED
from tests.paper_miniature import main
from tests.tiny_checkpoint import write_tiny_checkpoint
from triton_server.install import CannotInstall, check_machine

pytestmark = pytest.mark.slow

STAGES = (
    *("data sets", "stage 1", "self-label", "stage 2", "merge", "ablations", "figure 5"),
    *("score six data sets", "faithfulness"),
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        check_machine()
    except CannotInstall as unfit:
        pytest.skip(unfit.message)
    return tmp_path_factory.mktemp("miniature") / "out"


@pytest.fixture(scope="module")
def reported(out: Path) -> str:
    """What the command prints."""
    weights = write_tiny_checkpoint(out.parent / "weights")
    few = ["--steps", "2", "--files", "3", "--draws", "1"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert main(["--out", str(out), "--weights", str(weights), *few]) == 0
    return text.getvalue()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_its_seconds(reported: str, stage: str) -> None:
    assert re.search(rf"^{stage}: \d+\.\d s$", reported, re.MULTILINE)


WRITTEN = (
    *("tables/tables.md", "tables/scatter.png", "tables/claims.png", "tables/figure_2_realqa.png"),
    *("figure_5.png", "ablations.md", "faithfulness/faithfulness.md", "konvid/zero_shot.md"),
)


@pytest.mark.parametrize("name", WRITTEN)
def test_every_table_and_figure_is_there_and_named_at_the_end(out: Path, reported: str, name: str) -> None:
    assert (out / name).stat().st_size > 1000
    assert name in reported[reported.index("all stages: ") :]


def test_the_tables_say_that_the_pictures_are_made_up(out: Path, reported: str) -> None:
    assert "on made-up pictures" in (out / "tables" / "tables.md").read_text()


def test_every_ablation_has_our_number_next_to_the_claim(out: Path, reported: str) -> None:
    table = (out / "ablations.md").read_text().split("## Ablations")[1]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(ABLATIONS)
    assert not [row for row in rows if row[3] == NOT_MEASURED]


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("four years of work")
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path)])
