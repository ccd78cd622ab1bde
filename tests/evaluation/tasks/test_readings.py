"""`python -m evaluation readings`: several numbers from the same digits, and which of them is best."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import wire
from assay.errors import AssayError
from assay.score import Scale, Score
from assay.v1 import event_pb2
from evaluation.__main__ import main
from evaluation.correlation import difference, srcc_rows
from evaluation.tasks.readings import read, table
from tests.assay.scripted_gateway import JPEG, Call, ScriptedGateway, result, started

SCALE = Scale(0.0, 10.0)


def sure(digit: int, next_digit: int = 0, certainty: float = 1.0) -> tuple[float, ...]:
    return tuple(
        certainty if d == digit else 1 - certainty if d == next_digit and next_digit != digit else 0.0
        for d in range(10)
    )


def number(written: str, by_prefix: Mapping[str, tuple[float, ...]] | None = None) -> Score:
    """A score that is certain of its digits unless reported otherwise."""
    digits = written.replace(".", "")
    certain = {digits[:place]: sure(int(digit)) for place, digit in enumerate(digits)}
    return Score(float(written), 0.0, SCALE, written, certain | dict(by_prefix or {}))


def test_digits_as_written_are_the_most_probable_number() -> None:
    assert read(number("3.99", {"": sure(3, 4, 0.6)}), "as written") == 3.99


def test_the_whole_number_minds_the_carry_that_digits_ignore() -> None:
    """3.99 or 4.01, both with one half."""
    branches = {"": sure(3, 4, 0.5), "4": sure(0), "40": sure(1)}
    unsure = number("3.99", branches)
    assert [read(unsure, "whole"), read(unsure, "digits")] == pytest.approx([4.0, 4.49])


def by_content(call: Call) -> Iterable[event_pb2.ScoreEvent | AssayError]:
    """ "3.20 7.10": the direct and the reasoned number; served is the mean of both."""
    direct, reasoned = b"".join(call.chunks)[len(JPEG) :].decode().split()
    answer = result(value=(float(direct) + float(reasoned)) / 2)
    answer.windows[0].direct_score.CopyFrom(wire.score_to_wire(number(direct)))
    answer.windows[0].reasoned_score.CopyFrom(wire.score_to_wire(number(reasoned)))
    return [started(), event_pb2.ScoreEvent(result=answer)]


REASONED_IS_RIGHT = {"5.00 1.00": 1, "2.00 2.00": 2, "9.00 3.00": 3, "1.00 4.00": 4, "4.00 5.00": 5, "3.00 6.00": 6}


def measured(contents: Mapping[str, float], tmp_path: Path) -> dict[str, Any]:
    lines = ["file,mos"]
    for place, (content, mos) in enumerate(contents.items()):
        (tmp_path / f"{place}.jpg").write_bytes(JPEG + content.encode())
        lines.append(f"{place}.jpg,{mos}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "readings.json"
    with ScriptedGateway(by_content) as gateway:
        manifest = str(tmp_path / "manifest.csv")
        main(["readings", "--manifest", manifest, "--server", gateway.address, "--out", str(out)])
    return dict(json.loads(out.read_text()))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(REASONED_IS_RIGHT, tmp_path_factory.mktemp("readings"))


def test_the_best_setting_comes_first(numbers: dict[str, Any]) -> None:
    best = numbers["settings"][0]
    assert (best["direct_weight"], best["srcc"]["value"]) == (0.0, pytest.approx(1.0))


def test_what_is_served_is_recognised_by_its_scores(numbers: dict[str, Any]) -> None:
    assert numbers["served"][1] == 0.5


def test_what_is_served_gains_nothing_over_itself(numbers: dict[str, Any]) -> None:
    (served,) = [row for row in numbers["settings"] if [row["expectation"], row["direct_weight"]] == numbers["served"]]
    assert (served["srcc_gain"]["low"], served["srcc_gain"]["high"]) == (0.0, 0.0)


def test_the_advice_names_a_setting_of_assay_toml(numbers: dict[str, Any]) -> None:
    assert 'best for assay.toml: expectation "digits", direct_weight 0' in table(numbers)


def test_a_paired_difference_is_surer_than_two_intervals_side_by_side() -> None:
    rng = np.random.default_rng(0)
    mos = rng.normal(size=200)
    good, slightly_better = (0.3 * mos + rng.normal(size=200) for _ in range(2))
    better = good + 0.1 * mos + 0.01 * slightly_better
    gain = difference(srcc_rows, better, good, mos)
    assert gain.low is not None
    assert gain.low > 0


def test_nothing_differs_from_itself() -> None:
    values = np.arange(9.0)
    gain = difference(srcc_rows, values, values, values[::-1].copy())
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)
