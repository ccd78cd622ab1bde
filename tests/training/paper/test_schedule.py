from training.paper.schedule import share_of, step_rows


def test_a_process_without_rows_gets_the_first_again_without_weight() -> None:
    (step,) = step_rows([7], batch=1, accumulate=1, processes=2)
    assert [share_of(step, process) for process in range(2)] == [([[7]], 1), ([[7]], 0)]


def test_every_process_runs_as_many_micro_batches_and_every_row_weighs_once() -> None:
    (step,) = step_rows(list(range(5)), batch=1, accumulate=4, processes=2)
    shares = [share_of(step, process) for process in range(2)]
    assert [len(micros) for micros, _ in shares] == [3, 3]
    weighing = [row for micros, count in shares for micro in micros[:count] for row in micro]
    assert sorted(weighing) == [0, 1, 2, 3, 4]
