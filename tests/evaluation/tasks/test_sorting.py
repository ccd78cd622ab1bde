"""evaluation/tasks/sorting.py on answers made by hand."""

from pathlib import Path

import pytest

from evaluation.runs import BadRun
from evaluation.tasks.sorting import (
    Draw,
    Sorted,
    answers_of,
    draw_numbers,
    judge,
    read_answers,
    sorting_table,
    write_questions,
)
from tests.scripted_generator import ScriptedGenerator

DRAW = Draw(("3.72", "1.05", "9.90", "7.00"))


def judged(answer: str) -> Sorted:
    return judge([DRAW], [answer])


def test_a_sorted_row_is_right_in_every_place() -> None:
    found = judged("1.05, 3.72, 7.0, 9.9")
    assert (found.accuracy, found.recall, found.hallucination, found.exact) == (1.0, 1.0, 0.0, 1.0)


def test_two_numbers_in_each_others_place_cost_accuracy_and_no_recall() -> None:
    found = judged("1.05, 7.00, 3.72, 9.90")
    assert (found.accuracy, found.recall, found.exact) == (0.5, 1.0, 0.0)


def test_a_number_left_out_costs_recall_and_every_place_behind_it() -> None:
    found = judged("1.05, 7.00, 9.90")
    assert (found.accuracy, found.recall, found.hallucination) == (0.25, 0.75, 0.0)


def test_a_number_that_was_not_given_is_a_hallucination() -> None:
    found = judged("1.05, 3.72, 7.00, 9.90, 9.91")
    assert (found.accuracy, found.recall, found.hallucination) == (1.0, 1.0, 0.2)


def test_a_number_written_twice_is_recalled_once() -> None:
    assert judged("1.05, 1.05, 1.05, 1.05").recall == 0.25


def test_an_answer_without_numbers_counts_as_nothing_right_and_is_counted() -> None:
    found = judged("I cannot sort.")
    assert (found.accuracy, found.recall, found.hallucination, found.unreadable) == (0.0, 0.0, 0.0, 1)


def test_draws_are_ten_different_decimals_between_one_and_ten() -> None:
    draws = draw_numbers()
    assert len(draws) == 200
    assert all(len(set(d.numbers)) == 10 and d.in_order[0] >= 1 and d.in_order[-1] <= 10 for d in draws)


def test_equal_seeds_give_equal_draws() -> None:
    assert draw_numbers(3, seed=7) == draw_numbers(3, seed=7) != draw_numbers(3, seed=8)


async def test_a_generator_is_asked_every_question() -> None:
    generator = ScriptedGenerator({"sorted": "1.05, 3.72"})
    assert await answers_of(generator, [DRAW, DRAW]) == ["1.05, 3.72"] * 2
    assert "3.72, 1.05, 9.90, 7.00" in generator.asked[0].question


def test_questions_and_answers_go_by_files(tmp_path: Path) -> None:
    write_questions([DRAW], tmp_path / "questions.jsonl")
    answer = (tmp_path / "questions.jsonl").read_text().replace("question", "answer")
    (tmp_path / "answers.jsonl").write_text(answer)
    assert "3.72" in read_answers(tmp_path / "answers.jsonl", 1)[0]


def test_an_answer_that_is_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text('{"draw": 0, "answer": "1"}\n')
    with pytest.raises(BadRun, match="each of 2 draws once"):
        read_answers(tmp_path / "answers.jsonl", 2)


def test_the_table_counts_unreadable_answers() -> None:
    assert (
        dict(zip(*(sorting_table("m", judged("?")).head, sorting_table("m", judged("?")).rows[0]), strict=True))[
            "unreadable"
        ]
        == "1"
    )
