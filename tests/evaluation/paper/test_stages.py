"""evaluation/paper/stages.py"""

from pathlib import Path

import pytest

from evaluation.paper.stages import Clock, StageFailed, run_program


def test_a_stage_says_how_long_it_took() -> None:
    said: list[str] = []
    clock = Clock(said.append)
    with clock.stage("merge"):
        pass
    assert said == ["merge …", f"merge: {clock.seconds['merge']:.1f} s"]


def test_a_stage_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="No module named no_such_stage"):
        run_program(["no_such_stage"], tmp_path / "log", tmp_path)


def test_what_a_stage_says_is_in_its_log(tmp_path: Path) -> None:
    run_program(["this"], tmp_path / "log", tmp_path)
    assert "Beautiful is better than ugly." in (tmp_path / "log").read_text()
