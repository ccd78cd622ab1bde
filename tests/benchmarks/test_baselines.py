"""Baselines: everyone is judged on the same photos, and what could not be run says so."""

import json
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from assay.errors import AssayError, BadMedia
from assay.v1 import event_pb2
from benchmarks.baselines import __main__ as baselines
from benchmarks.baselines import brisque, lite0
from tests.assay.scripted_gateway import JPEG, Call, ScriptedGateway, result, started
from training.photos import Photo

pytest.importorskip("torch")
Events = Iterable[event_pb2.ScoreEvent | AssayError]
MOS = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 2.5])
PHOTOS = [Photo(f"para/{n}.webp", "rated", JPEG + str(mos).encode(), mos, mos) for n, mos in enumerate(MOS)]


def by_content(call: Call) -> Events:
    """The label itself, but for one photo that cannot be read."""
    mos = float(b"".join(call.chunks)[len(JPEG) :])
    return [BadMedia("no picture")] if mos == 2.5 else [started(), event_pb2.ScoreEvent(result=result(value=mos))]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a ridge that ranks backwards and a BRISQUE that is not installed."""
    tmp_path = tmp_path_factory.mktemp("baselines")
    ridge = dict.fromkeys(lite0.TARGETS, -MOS)
    judged = lite0.Judged(PHOTOS, dict.fromkeys(lite0.TARGETS, MOS), ridge, trained_on=60)
    out = tmp_path / "baselines.json"
    where = ["--data", str(tmp_path), "--runs", str(tmp_path), "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch, ScriptedGateway(by_content) as gateway:
        patch.setattr(lite0, "judged", lambda data, runs: judged)
        patch.setitem(sys.modules, "brisque", None)
        baselines.main([*where, "--server", gateway.address])
    return dict(json.loads(out.read_text()))


def srcc(numbers: dict[str, Any], method: str) -> list[float]:
    return [row["srcc"]["value"] for row in numbers["rows"] if row["method"] == method]


def test_every_method_is_measured_on_both_targets(numbers: dict[str, Any]) -> None:
    assert (srcc(numbers, "scripted"), srcc(numbers, "lite0, frozen, + ridge")) == ([1.0] * 2, [-1.0] * 2)


def test_a_photo_that_was_not_scored_counts_for_nobody(numbers: dict[str, Any]) -> None:
    assert (numbers["scored"], numbers["failures"]) == (5, {"BAD_MEDIA": 1})


def test_the_distance_is_to_the_served_model(numbers: dict[str, Any]) -> None:
    gains = {row["method"]: row["srcc_gain"]["value"] for row in numbers["rows"]}
    assert gains == {"lite0, frozen, + ridge": -2.0, "scripted": 0.0, "scripted, direct alone": 0.0}


def test_a_method_that_is_not_installed_says_how_to_install_it(numbers: dict[str, Any]) -> None:
    assert brisque.INSTALL in numbers["missing"]["BRISQUE"]


def test_the_table_says_what_was_not_run(numbers: dict[str, Any]) -> None:
    assert "BRISQUE: not run, not installed" in baselines.table(numbers)
