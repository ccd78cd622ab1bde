import pytest

from tests.training.recipe.conftest import Set
from training.recipe.mixture import TASKS, stage1_rows, stage2_rows
from training.recipe.settings import Stage1Settings, Stage2Settings


def test_stage_1_has_thirteen_conversation_sets() -> None:
    assert [len(tasks) for tasks in TASKS.values()] == [9, 3, 1]


def test_a_granularity_keeps_its_own_rows(pictures: Set) -> None:
    rows = stage1_rows(pictures.attributes, Stage1Settings(granularities=("levels",)))
    assert {row.task for row in rows} == {"high", "middle", "low"}


def test_the_order_of_levels_is_that_of_a_mix_answer(pictures: Set) -> None:
    chosen = Stage1Settings(granularities=("mix",), order=("low", "middle", "high"))
    assert stage1_rows(pictures.attributes, chosen)[0].answer == "low: fine\nmiddle: fine\nhigh: fine"


def test_a_set_without_rows_is_named(pictures: Set) -> None:
    rows = [row for row in pictures.attributes if row.task != "exposure"]
    with pytest.raises(ValueError, match="exposure"):
        stage1_rows(rows, Stage1Settings())


def test_stage_2_writes_labels_with_the_digits_asked_for(pictures: Set) -> None:
    rows = stage2_rows(pictures.scored, Stage2Settings(digits=1))
    assert rows[1].answer == "It is sharp. The final score is <2>."
