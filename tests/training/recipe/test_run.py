"""The order of examples, which is a function of the seed and fills up the last step of several processes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from data.conversations import ConversationRow
from tests.training.recipe.conftest import settings
from training.recipe.encoding import Encoded
from training.recipe.example import TrainingExample, example_of
from training.recipe.objective import NextToken
from training.recipe.run import OrderedExamples, TrainingRun, order


def encoded(example: TrainingExample) -> Encoded:
    """Nothing but its name and its weight."""
    nothing: Any = torch.zeros(0)
    return Encoded(nothing, torch.ones(1), 0, nothing, (1, 1, 1), example.task, 5.0, (0,), example.path.name)


def examples(rows: int, *assignments: str, processes: int, stop_after: int | None = None) -> OrderedExamples:
    several = [example_of(ConversationRow(Path(str(n)), "?", "!", "mix")) for n in range(rows)]
    chosen = settings(*assignments)
    run = TrainingRun(several, encoded, 0, 0, NextToken(()), 1, chosen, Path(), stop_after)
    return OrderedExamples(run, processes)


def test_every_epoch_is_in_another_order() -> None:
    first, second = (order(50, 2, seed=1)[part] for part in (slice(50), slice(50, None)))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(50))


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_row_weighs_once_and_every_process_has_as_many_batches(processes: int) -> None:
    several = examples(5, "optimiser.batch=1", processes=processes)
    every = [several[place] for place in range(len(several))]
    assert sorted(each.name for each in every if each.weights.sum()) == ["0", "1", "2", "3", "4"]
    assert len(several) % processes == 0


def test_a_run_that_is_cut_short_has_as_many_steps() -> None:
    several = examples(9, "optimiser.batch=2", "optimiser.accumulate=2", processes=1, stop_after=2)
    assert (several.steps, len(several)) == (2, 8)


def test_the_last_step_may_be_smaller() -> None:
    assert examples(9, "optimiser.batch=2", "optimiser.accumulate=2", processes=1).steps == 3
