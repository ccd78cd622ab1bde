"""A short sample of what `python -m benchmarks.memory` does over ten thousand answers."""

from pathlib import Path

import pytest

from benchmarks.memory.__main__ import main, pictures


def test_memory_is_flat_once_what_is_held_is_full(capsys: pytest.CaptureFixture[str]) -> None:
    sample = ["--requests", "120", "--every", "40", "--cache-mib", "4", "--most-growth-percent", "5"]
    assert main(["--checkpoint", str(Path("checkpoints") / "nano"), *sample]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[1].strip() for line in lines[:3]] == ["40 of 40 answered"] * 3
    assert int(lines[2].split()[-2].replace(",", "")) >= 80
    assert float(lines[2].split("resident,")[1].split()[0]) <= 4


def test_no_two_pictures_are_alike() -> None:
    assert len({clip.stacked().tobytes() for clip in [*pictures(0, 3, 28), *pictures(3, 3, 28)]}) == 6
