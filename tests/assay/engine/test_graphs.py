import pytest
import torch

from assay.engine.graphs import Graphs, Recording, Step

CPU = torch.device("cpu")


def _double(given: torch.Tensor) -> torch.Tensor:
    return 2 * given


def test_a_shape_is_recorded_once_it_has_come_up_often_enough() -> None:
    graphs = Graphs(CPU, uses_before=2)
    made = [graphs.run("double", _double, torch.full((3,), float(n))).tolist() for n in range(5)]
    assert made == [[2.0 * n] * 3 for n in range(5)]
    assert (graphs.recorded, graphs.replays) == (1, 3)


def test_no_more_than_so_many_are_recorded_and_the_others_run_all_the_same() -> None:
    graphs = Graphs(CPU, most=2, uses_before=0)
    for size in (1, 2, 3, 4):
        assert graphs.run(size, _double, torch.ones(size)).tolist() == [2.0] * size
    assert graphs.recorded == 2


def test_a_replay_writes_where_the_last_one_wrote() -> None:
    graphs = Graphs(CPU, uses_before=0)
    first = graphs.run("double", _double, torch.ones(1))
    graphs.run("double", _double, torch.full((1,), 5.0))
    assert first.tolist() == [10.0]


def test_what_cannot_be_recorded_is_run_step_by_step_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(step: Step, given: torch.Tensor) -> Recording:
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs = Graphs(CPU, uses_before=0, record=refuse)
    assert [graphs.run("double", _double, torch.ones(1)).tolist() for _ in range(3)] == [[2.0]] * 3
    assert caplog.text.count("not permitted when stream is capturing") == 1


def test_after_a_stop_nothing_recorded_is_used() -> None:
    graphs = Graphs(CPU, uses_before=0)
    graphs.run("double", _double, torch.ones(1))
    graphs.stop("tried")
    assert graphs.run("double", _double, torch.ones(1)).tolist() == [2.0]
    assert graphs.recorded == 0
