"""The teacher's judgement, a linear regression on its taps."""

import numpy as np

from training.teacher import Ranked, TapRegression


def _ladders(count: int, seed: int) -> np.ndarray:
    """(count, 4, 784) taps of made-up photos of which damage raises the first number and lowers the second."""
    rng = np.random.default_rng(seed)
    photos = rng.normal(size=(count, 1, 784))
    damage = np.zeros((1, 4, 784))
    damage[0, :, 0], damage[0, :, 1] = np.arange(4), -np.arange(4)
    return (photos + damage + 0.1 * rng.normal(size=(count, 4, 784))).astype(np.float32)


def test_ranks_along_damage_are_learnt_where_nobody_rated_a_photo() -> None:
    learnt, others = _ladders(150, seed=0), _ladders(40, seed=1)
    judge = TapRegression([], Ranked(learnt), unrated=learnt[:, 0])
    judged = judge(others.reshape(-1, 784))[:, 0].reshape(-1, 4)
    assert (np.diff(judged, axis=1) < 0).mean() > 0.95


def test_ratings_are_learnt_with_ranks() -> None:
    taps = _ladders(300, seed=2)[:, 0]
    ratings = np.repeat(taps[:, 5:6].astype(np.float64), 2, axis=1)
    judge = TapRegression([(taps[:250], ratings[:250], 1.0)], Ranked(_ladders(40, seed=3)))
    assert np.corrcoef(judge(taps[250:])[:, 0], ratings[250:, 0])[0, 1] > 0.5
