"""`python -m evaluation grades` against a gateway that sees exactly the damage, or none of it."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay import wire
from assay.attribute import KINDS, Attribute
from assay.errors import AssayError
from assay.v1 import event_pb2
from evaluation.__main__ import main
from evaluation.tasks.grades import table
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started

Captured = pytest.CaptureFixture[str]
Events = Iterable[event_pb2.ScoreEvent | AssayError]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo that is fit for all four: sharp grain on level stripes, well exposed, a little colour."""
    rng = np.random.default_rng(0)
    grey = 105 + np.arange(512)[:, None] // 64 % 2 * 40 + rng.integers(-8, 9, (512, 544))
    pixels = np.stack([grey + 15, grey, grey - 15], axis=2).clip(0, 255).astype(np.uint8)
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(pixels).save(folder / "stripes.png")
    return folder


def reported(grades: dict[str, str]) -> Events:
    answer = result()
    del answer.attributes[:]
    for name, grade in grades.items():
        others = dict.fromkeys(KINDS[name].grades, 0.0)
        answer.attributes.append(wire.attribute_to_wire(Attribute(name, grade, others | {grade: 1.0})))
    return [started(), event_pb2.ScoreEvent(result=answer)]


def blind(call: Call) -> Events:
    """Every photo is perfect."""
    return reported(
        {"clarity": "very clear", "exposure": "properly exposed", "saturation": "medium", "level_shot": "yes"}
    )


def by_light(call: Call) -> Events:
    """Grades exposure by the mean, as the known damage to this very photo leaves it."""
    with Image.open(io.BytesIO(b"".join(call.chunks))) as picture:
        mean = float(np.asarray(picture.convert("RGB")).mean())
    place = sum(mean > border for border in (60, 100, 160, 210))
    return reported({"exposure": KINDS["exposure"].grades[place]})


def graded(script: Callable[[Call], Events], photos: Path, tmp_path: Path) -> dict[str, Any]:
    out = tmp_path / "grades.json"
    with ScriptedGateway(script) as gateway:
        main(["grades", "--photos", str(photos), "--server", gateway.address, "--out", str(out)])
    return dict(json.loads(out.read_text()))


@pytest.fixture(scope="module")
def unseen(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is reported of a gateway that sees no damage."""
    return graded(blind, photos, tmp_path_factory.mktemp("unseen"))


@pytest.fixture(scope="module")
def observed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is reported of a gateway that sees the light."""
    return graded(by_light, photos, tmp_path_factory.mktemp("observed"))


def line(numbers: dict[str, Any], damage: str) -> dict[str, Any]:
    return next(row for row in numbers["graded"] if row["damage"] == damage)


def test_who_sees_the_light_is_exactly_right(observed: dict[str, Any]) -> None:
    row = line(observed, "exposure")
    assert (row["n"], row["exact"], row["srcc"]) == (5, 1.0, pytest.approx(1.0))


def test_who_sees_nothing_is_right_once_in_five_and_near_three_times(unseen: dict[str, Any]) -> None:
    row = line(unseen, "exposure")
    assert (row["exact"], row["exact_or_adjacent"], row["srcc"]) == (0.2, 0.6, None)


def test_blur_and_jpeg_are_also_reported_together(unseen: dict[str, Any]) -> None:
    assert line(unseen, "blur and jpeg")["n"] == 7


def test_saying_level_of_everything_is_balanced_out_to_one_half(unseen: dict[str, Any]) -> None:
    level = unseen["level_shot"]
    assert (level["n"], level["balanced_accuracy"]) == (8, 0.5)


def test_an_attribute_that_was_not_reported_has_no_number(observed: dict[str, Any]) -> None:
    assert line(observed, "saturation")["exact"] is None


def test_the_confusion_says_what_was_reported_for_what(unseen: dict[str, Any]) -> None:
    confusion = line(unseen, "saturation")["confusion"]
    assert confusion["ultra-low"] == {"ultra-low": 0, "low": 0, "medium": 1, "high": 0, "ultra-high": 0}


def test_every_file_has_a_row_with_its_truth(unseen: dict[str, Any]) -> None:
    rows = unseen["rows"]
    assert {row["strength"]: row["truth"]["exposure"] for row in rows if row["damage"] == "exposure"} == {
        -3.0: "underexposed",
        -1.25: "slightly underexposed",
        1.25: "slightly overexposed",
        3.0: "overexposed",
    }


def test_the_table_names_the_model_and_how_many_photos_were_fit(unseen: dict[str, Any]) -> None:
    assert "fit: 1 clarity, 1 exposure, 1 saturation, 1 level_shot" in table(unseen)


def test_photos_that_are_fit_for_nothing_are_refused(tmp_path: Path, capsys: Captured) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "black.png")
    with ScriptedGateway(blind) as gateway:
        assert main(["grades", "--photos", str(tmp_path), "--server", gateway.address]) == 2
    assert "none of 1 photos is sharp" in capsys.readouterr().err


def test_a_photo_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (120, 110, 90)).save(tmp_path / "flat.png")
    (tmp_path / "text.jpg").write_text("no photo")
    assert graded(blind, tmp_path, tmp_path)["failures"] == {"UNREADABLE_FILE": 1}


def test_the_direct_form_is_refused(photos: Path) -> None:
    assert main(["grades", "--photos", str(photos), "--form", "direct"]) == 2
