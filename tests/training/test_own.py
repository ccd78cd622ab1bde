"""A folder of rated photos becomes a checkpoint that can be served, by one command."""

from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.engine import Engine
from tests.training.test_own_example import example_folder
from training import own

PIECES = Path(__file__).parents[2] / "runs" / "pieces"


def test_a_bad_table_is_an_exit_code_and_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ratings.csv").write_text("file,score\n", encoding="utf-8")
    code = own.main(["--table", str(tmp_path / "ratings.csv"), "--scale", "1", "5", "--out", str(tmp_path / "ours")])
    assert (code, "no column 'mos'" in capsys.readouterr().err) == (2, True)


@pytest.mark.slow
def test_a_rated_folder_becomes_a_checkpoint_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example_folder(tmp_path / "photos", photos=10)
    small = Path("training/configs/own.toml").read_text(encoding="utf-8")
    for was, now in (("self_labelled = 1000", "self_labelled = 4"), ("tower_depth = 8", "tower_depth = 5")):
        small = small.replace(was, now)
    (tmp_path / "small.toml").write_text(small, encoding="utf-8")
    PIECES.mkdir(parents=True, exist_ok=True)
    out, runs = tmp_path / "ours", tmp_path / "runs"
    runs.mkdir()
    # Fetched once for all tests: 100 MB of wheels.
    (runs / "pieces").symlink_to(PIECES)
    options = ["--table", str(tmp_path / "photos" / "ratings.csv"), "--scale", "1", "5", "--out", str(out)]
    code = own.main([*options, "--runs", str(runs), "--config", str(tmp_path / "small.toml"), "--minutes", "0.1"])
    Engine.load(out).close()
    assert (code, read_checkpoint(out).name, "held-out photos" in capsys.readouterr().out) == (0, "ours", True)
