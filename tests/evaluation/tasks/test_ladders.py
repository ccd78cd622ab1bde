"""Ladders: what each step does to a photo, and what the report makes of scores that follow or do not."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay import wire
from assay.attribute import Attribute
from assay.errors import AssayError, BadMedia
from assay.v1 import event_pb2
from evaluation.__main__ import main
from evaluation.correlation import Numbers
from evaluation.ladder import LADDERS, STEPS, original, step
from evaluation.tasks.ladders import expected_ordinal
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started

Events = Iterable[event_pb2.ScoreEvent | AssayError]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(60, 200, (60, 80, 3), dtype=np.uint8))
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    small.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def pixels(photo: Path, name: str, number: int) -> Numbers:
    with Image.open(io.BytesIO(step(photo, name, number))) as picture:
        return np.asarray(picture.convert("RGB"), np.float64)


MEASURES: dict[str, Callable[[Numbers], float]] = {
    "blur": lambda a: -float(np.abs(np.diff(a, axis=1)).mean()),
    "underexposure": lambda a: -float(a.mean()),
    "overexposure": lambda a: float(a.mean()),
    "desaturation": lambda a: -float(np.ptp(a, axis=2).mean()),
}


@pytest.mark.parametrize("name", MEASURES)
def test_every_step_damages_more_than_the_one_before(name: str, photo: Path) -> None:
    damage = [MEASURES[name](pixels(photo, name, number)) for number in range(STEPS)]
    assert damage == sorted(set(damage))


def test_every_step_of_jpeg_makes_a_smaller_file(photo: Path) -> None:
    sizes = [len(step(photo, "jpeg", number)) for number in range(1, STEPS)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", LADDERS)
def test_the_size_of_the_photo_stays(name: str, photo: Path) -> None:
    assert pixels(photo, name, STEPS - 1).shape == (240, 320, 3)


@pytest.mark.parametrize("name", LADDERS)
def test_the_first_step_is_the_photo_as_it_was(name: str, photo: Path) -> None:
    np.testing.assert_array_equal(pixels(photo, name, 0), np.asarray(original(photo)))


def test_a_stop_halves_the_light(tmp_path: Path) -> None:
    """sRGB 188 is twice the light of sRGB 137."""
    Image.new("RGB", (8, 8), (188, 188, 188)).save(tmp_path / "grey.png")
    assert pixels(tmp_path / "grey.png", "underexposure", 1)[0, 0, 0] == pytest.approx(137, abs=1)


def test_the_last_desaturation_is_grey(photo: Path) -> None:
    assert np.ptp(pixels(photo, "desaturation", STEPS - 1), axis=2).max() == 0


def test_a_turned_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert original(tmp_path / "turned.jpg").size == (20, 30)


def test_the_expected_place_of_a_grade_weighs_all_of_them() -> None:
    attribute = Attribute("level_shot", "yes", {"no": 0.25, "yes": 0.75})
    assert expected_ordinal(attribute) == 1.75


def by_brightness(call: Call) -> Events:
    """Darker is worse; the expected exposure follows the light, the most probable grade does not move."""
    with Image.open(io.BytesIO(b"".join(call.chunks))) as picture:
        brightness = np.asarray(picture.convert("RGB")).mean() / 255
    answer = result(value=10 * float(brightness))
    del answer.attributes[:]
    sure = 0.5 + 0.1 * float(brightness)
    rest = dict.fromkeys(("underexposed", "slightly underexposed", "slightly overexposed"), 0.0)
    grades = {"properly exposed": sure, "overexposed": 0.1 + 0.2 * float(brightness), **rest}
    grades["underexposed"] = 1 - sum(grades.values())
    answer.attributes.append(wire.attribute_to_wire(Attribute("exposure", "properly exposed", grades)))
    return [started(), event_pb2.ScoreEvent(result=answer)]


def climbed(script: Any, photo: Path, tmp_path: Path) -> dict[str, Any]:
    out = tmp_path / "ladders.json"
    with ScriptedGateway(script) as gateway:
        main(["ladders", "--photos", str(photo.parent), "--server", gateway.address, "--out", str(out)])
    return dict(json.loads(out.read_text()))


def test_a_score_that_falls_with_every_step_reaches_minus_one(photo: Path, tmp_path: Path) -> None:
    numbers = climbed(by_brightness, photo, tmp_path)
    assert numbers["ladders"]["underexposure"]["score"]["mean_srcc"] == pytest.approx(-1.0)


def test_the_expected_grade_rises_with_the_light(photo: Path, tmp_path: Path) -> None:
    numbers = climbed(by_brightness, photo, tmp_path)
    assert numbers["ladders"]["overexposure"]["expected_grade"]["mean_srcc"] == pytest.approx(1.0)


def test_a_grade_that_never_moves_counts_as_zero(photo: Path, tmp_path: Path) -> None:
    grade = climbed(by_brightness, photo, tmp_path)["ladders"]["overexposure"]["grade"]
    assert grade == {"mean_srcc": 0.0, "photos": 1, "unmoved_photos": 1}


def test_an_attribute_that_was_not_reported_has_no_number(photo: Path, tmp_path: Path) -> None:
    grade = climbed(by_brightness, photo, tmp_path)["ladders"]["blur"]["grade"]
    assert grade == {"mean_srcc": None, "photos": 0, "unmoved_photos": 0}


def test_a_photo_with_a_failed_step_is_counted_and_left_out(photo: Path, tmp_path: Path) -> None:
    def no_jpegs(call: Call) -> Events:
        is_jpeg = call.chunks[0].startswith(b"\xff\xd8")
        return [BadMedia("no JPEG today")] if is_jpeg else by_brightness(call)

    numbers = climbed(no_jpegs, photo, tmp_path)
    assert (numbers["failures"], numbers["ladders"]["jpeg"]["incomplete_photos"]) == ({"BAD_MEDIA": 5}, 1)


def test_the_original_is_sent_once(photo: Path, tmp_path: Path) -> None:
    assert climbed(by_brightness, photo, tmp_path)["n"] == 1 + len(LADDERS) * (STEPS - 1)


def test_a_file_that_is_no_photo_is_counted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "text.jpg").write_text("no photo")
    numbers = climbed(by_brightness, tmp_path / "photos" / "text.jpg", tmp_path)
    assert numbers["failures"] == {"UNREADABLE_FILE": 26}


def test_every_file_that_was_sent_has_a_row(photo: Path, tmp_path: Path) -> None:
    rows = climbed(by_brightness, photo, tmp_path)["rows"]
    assert [(row["ladder"], row["step"]) for row in rows][:3] == [("", 0), ("blur", 1), ("blur", 2)]
