import re

import pytest

from benchmarks.engine.roofline import Peaks, main
from benchmarks.engine.stages import SHAPES, Bench, Stage, random_model
from training.recipe.shape import config_7b

ONE_ROUND = ["--rounds", "1", "--side", "56", "--shape", "tiny"]


def test_a_stage_takes_no_less_than_its_sums_or_its_bytes() -> None:
    peaks = Peaks(tflops=100, gbps=1000)
    assert peaks.seconds(Stage("", "", sums=2e14, moved_bytes=1e9, once=print)) == 2.0
    assert peaks.seconds(Stage("", "", sums=2e14, moved_bytes=5e12, once=print)) == 5.0


def test_the_table_has_every_stage_and_how_near_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    main([*ONE_ROUND, "--in-flight", "1", "4", "--peak-tflops", "1", "--peak-gbps", "10"])
    reported = capsys.readouterr().out
    assert re.findall(r"^\| (\w+) \| ([^|]+) \|", reported, re.MULTILINE)[1:] == [
        ("vision", "16 patches"),
        ("prefill", "96 tokens"),
        ("decode", "1 x 7 tokens"),
        ("decode", "4 x 7 tokens"),
    ]
    assert "roofline 1 TFLOP/s, 10 GB/s" in reported


def test_the_same_answer_is_timed_with_ours_and_with_transformers() -> None:
    bench = Bench(random_model(SHAPES["tiny"]()), side_px=56, frames=1)
    assert bench.generated(tokens=8) > 0
    assert bench.answer() > 0


def test_sums_are_two_for_each_weight_and_token_and_some_for_attention() -> None:
    bench = Bench(random_model(SHAPES["tiny"]()), side_px=56, frames=1)
    one, four = bench.decode(1, 7), bench.decode(4, 7)
    assert four.sums == pytest.approx(4 * one.sums)
    assert one.moved_bytes < four.moved_bytes < 2 * one.moved_bytes


def test_the_true_shape_is_the_papers() -> None:
    assert SHAPES["7b"] is config_7b
