"""evaluation/pooled.py"""

import pytest

from evaluation.runs import POOLINGS, pooled


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
