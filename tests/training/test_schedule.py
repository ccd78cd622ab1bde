"""Learning rates follow the clock."""

from training.schedule import Schedule

SCHEDULE = Schedule(began=0, until=1000, tower_rate=1, merger_rate=1, language_rate=1, tower_frozen_seconds=100)


def test_the_rate_ends_at_zero() -> None:
    assert SCHEDULE.factor(1000) == 0


def test_the_tower_rests_while_the_language_model_learns_its_first_words() -> None:
    assert SCHEDULE.tower_factor(99) == 0 < SCHEDULE.factor(99)
