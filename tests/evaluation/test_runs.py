"""evaluation/runs.py: every row's fate is held, on disk too."""

from pathlib import Path

import pytest

from assay.client import judgement_from_wire
from evaluation.measure import Failed
from evaluation.runs import POOLINGS, BadRun, pooled, read_run, run_row, write_run
from tests.assay import scripted_gateway
from tests.evaluation.scored import run_of


def test_the_three_failures_and_the_scored_rows_sum_to_all() -> None:
    counts = run_of([1.0, "UNREADABLE_VERDICT", "BAD_MEDIA", 2.0], [1, 2, 3, 4]).counts()
    assert counts == {"n": 4, "scored": 2, "unreadable": 1, "failed": 1}


def test_a_judgement_gives_the_served_the_direct_and_the_reasoned_score() -> None:
    row = run_row("a.jpg", 3.0, judgement_from_wire(scripted_gateway.result(value=6.5)))
    assert row.scores == {
        "final": pytest.approx(6.5),
        "direct": pytest.approx(6.4),
        "reasoned": pytest.approx(6.6),
    }


def test_a_video_keeps_the_score_of_every_clip() -> None:
    row = run_row("a.mp4", 3.0, judgement_from_wire(scripted_gateway.result(is_video=True, value=6.5)))
    assert (row.window_scores, row.window_frames) == ((6.5, 6.5), (4, 4))


def test_a_failure_keeps_its_sentence() -> None:
    row = run_row("a.jpg", 3.0, Failed("BAD_MEDIA", "no picture"))
    assert (dict(row.scores), row.reason, row.message) == ({}, "BAD_MEDIA", "no picture")


def test_a_run_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    run = run_of([1.0, "BAD_MEDIA"], [1, 2])
    write_run(run, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == run


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"nonsense": 1}]}'])
def test_what_is_no_run_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadRun, match=r"run\.json is no run"):
        read_run(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("how", "score"),
    [("frame mean", 4.0), ("mean", 3.5), ("median", 3.5), ("minimum", 1.0), ("worst quarter", 1.0)],
)
def test_a_pooling_of_known_clips(how: str, score: float) -> None:
    assert pooled([1.0, 6.0, 3.0, 4.0], [1, 3, 1, 1], how) == pytest.approx(score if how != "frame mean" else 26 / 6)


@pytest.mark.parametrize("how", POOLINGS)
def test_one_clip_is_its_own_score(how: str) -> None:
    assert pooled([4.5], [8], how) == 4.5


def test_no_clip_has_no_score() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        pooled([], [], "mean")
