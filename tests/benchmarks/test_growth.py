"""A small version of what `python -m benchmarks.growth` does, and what it makes of figures."""

from pathlib import Path

import pytest
from PIL import Image

from assay.checkpoint import read_checkpoint
from benchmarks.engine.workloads import asks
from benchmarks.growth.__main__ import main, table
from benchmarks.growth.measure import GrowthPoint, HourPoint, _groups, fit
from benchmarks.growth.sweeps import SWEEPS, stream


def test_it_prints_a_line_a_sweep_and_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--sweeps", "answer", "--sizes", "3", "--rounds", "1", "--hours", "0.01", "--most-growth-percent", "50"]
    assert main([*small, "--plot", str(tmp_path / "growth.png")]) == 0
    printed = capsys.readouterr()
    rows = [line.split(" | ")[0] for line in printed.out.splitlines() if line.startswith("| ")]
    assert rows == ["| grows", "| answer", "| hours"]
    assert "100%, 0.0 min left: answer" in printed.err
    with Image.open(tmp_path / "growth.png") as picture:
        assert picture.width > 1000


def test_points_on_a_line_are_fitted_by_it() -> None:
    through = fit([1, 2, 4], [3.0, 5.0, 9.0])
    assert str(through) == "1 + 2 x"
    assert through.determination == pytest.approx(1.0)


def test_what_is_bent_is_fitted_by_a_parabola() -> None:
    assert str(fit([0, 1, 2, 3], [4.0, 2.0, 2.0, 4.0], degree=2)) == "4 - 3 x + 1 x²"


def test_a_line_through_two_points_says_nothing() -> None:
    with pytest.raises(ValueError, match="more than 2 points"):
        fit([1, 2], [3.0, 5.0])


def test_the_table_says_how_far_the_largest_is_from_the_roofline() -> None:
    points = [GrowthPoint(float(size), 10.0 + 4.0 * size, 2.0 * size) for size in (1, 2, 5)]
    hours = [HourPoint(0.1 * part, 3.0 * part, 1.0 * part, 500.0) for part in (1, 2, 3)]
    rows = table({"windows": points}, hours).splitlines()[2:]
    unit = SWEEPS["windows"].unit
    assert rows[0] == f"| windows | {unit} | 1 | 5 | 14 to 30 | 10 + 4 x | 1.000 | {rows[0].split(' | ')[7]} | 3.0 |"
    assert rows[1].endswith("| 3.0 |")


def test_frames_that_windows_share_go_through_the_tower_once() -> None:
    windows = asks("live direct", read_checkpoint(Path("checkpoints/nano")), 3, seed=1)
    assert len({group for ask in windows for group in _groups(ask)}) == 4 + 2 * 1


def test_no_two_windows_of_the_video_are_alike() -> None:
    served = read_checkpoint(Path("checkpoints/nano"))
    clips = [ask.clip.stacked().tobytes() for ask in [*stream(served, 2, seed=0), *stream(served, 2, seed=1)]]
    assert len(set(clips)) == 4
