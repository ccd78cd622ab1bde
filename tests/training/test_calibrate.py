"""A calibration makes the likeliest grade the right one, and the stated probability the true one."""

import numpy as np
import pytest

from training.calibrate import Calibration, calibration_error, even, fit, written


def test_a_grade_that_is_said_too_often_is_said_less_afterwards() -> None:
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 3, 600)
    logs = np.log(np.eye(3)[grades] * 0.3 + 0.2 + rng.random((600, 3)) * 0.2)
    logs[:, 2] += 1.0
    before, after = np.exp(logs), fit(logs, grades)(logs)
    right = [(found.argmax(1) == grades).mean() for found in (before, after)]
    assert right[1] > right[0] + 0.1


def test_a_model_that_is_too_sure_gets_a_temperature_above_one() -> None:
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 2, 500)
    said = np.where(rng.random(500) < 0.7, grades, 1 - grades)
    logs = np.log(np.eye(2)[said] * 0.98 + 0.01)
    found = fit(logs, grades)
    assert found.temperature > 1.5
    assert calibration_error(found(logs), grades) < calibration_error(np.exp(logs), grades) / 3


def test_a_second_calibration_takes_the_place_of_the_first() -> None:
    settings = 'name = "x"\n\n[free.subject]\nstops = ["\\n"]\n'
    flat = fit(np.zeros((4, 2)), np.array([0, 1, 0, 1]))
    once = written(settings, {"level_shot": flat})
    assert written(once, {"level_shot": flat}) == once
    assert once.startswith(settings)


def test_a_rare_grade_is_served_as_if_it_were_not_rare() -> None:
    grades = np.array([0] * 10 + [1] * 90)
    rare, usual = even(Calibration(1.0, (0.0, 0.0)), grades).biases
    assert rare - usual == pytest.approx(np.log(91 / 11), abs=0.01)
