"""`python -m evaluation robustness` against gateways that do and do not care for the wrapping."""

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from assay.errors import AssayError, BadMedia
from assay.v1 import event_pb2
from evaluation.__main__ import main
from evaluation.tasks.robustness import WRAPPINGS
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started

Events = Iterable[event_pb2.ScoreEvent | AssayError]


def same(call: Call) -> Events:
    return [started(), event_pb2.ScoreEvent(result=result(value=6.0))]


def by_width(call: Call) -> Events:
    """Larger pictures are better by a hundredth a pixel."""
    with Image.open(io.BytesIO(b"".join(call.chunks))) as picture:
        return [started(), event_pb2.ScoreEvent(result=result(value=5.0 + picture.width / 100))]


def no_webp(call: Call) -> Events:
    return [BadMedia("no WebP today")] if b"WEBP" in call.chunks[0][:16] else same(call)


def moody() -> Callable[[Call], Events]:
    asked = 0

    def script(call: Call) -> Events:
        nonlocal asked
        asked += 1
        return [started(), event_pb2.ScoreEvent(result=result(value=5.0 + asked / 10))]

    return script


def measured(script: Callable[[Call], Events], tmp_path: Path) -> dict[str, Any]:
    Image.new("RGB", (40, 30), (90, 120, 60)).save(tmp_path / "photo.jpg")
    out = tmp_path / "robustness.json"
    with ScriptedGateway(script) as gateway:
        main(["robustness", "--photos", str(tmp_path), "--server", gateway.address, "--out", str(out)])
    return dict(json.loads(out.read_text()))


@pytest.mark.parametrize(
    "wrapping", ["asked again", "PNG", "WebP q95", "twice its size", "letterbox", "as a video", "injected text"]
)
def test_a_score_that_stays_moves_by_nothing(wrapping: str, tmp_path: Path) -> None:
    row = measured(same, tmp_path)["wrappings"][wrapping]
    assert row == {"n": 1, "largest": 0.0, "mean": 0.0, "under_tolerance": 1.0, "same_digits": 1.0}


def test_a_score_that_follows_the_size_moves_with_it(tmp_path: Path) -> None:
    row = measured(by_width, tmp_path)["wrappings"]["twice its size"]
    assert (row["largest"], row["under_tolerance"]) == (pytest.approx(0.4), 0.0)


def test_other_digits_on_asking_again_are_noticed(tmp_path: Path) -> None:
    assert measured(moody(), tmp_path)["wrappings"]["asked again"]["same_digits"] == 0.0


def test_a_wrapping_that_failed_is_left_out_and_counted(tmp_path: Path) -> None:
    numbers = measured(no_webp, tmp_path)
    assert (numbers["wrappings"]["WebP q95"]["n"], numbers["failures"]) == (0, {"BAD_MEDIA": 1})


def test_the_file_itself_is_sent_and_not_a_copy(tmp_path: Path) -> None:
    with ScriptedGateway(same) as gateway:
        Image.new("RGB", (40, 30)).save(tmp_path / "photo.jpg")
        main(["robustness", "--photos", str(tmp_path), "--server", gateway.address])
        sent = [b"".join(call.chunks) for call in gateway.calls]
    assert sent.count((tmp_path / "photo.jpg").read_bytes()) == 2


def test_two_texts_differ_in_their_letters_alone(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (400, 300), (90, 120, 60)).save(photo)
    shown = []
    for name in ("harmless text", "injected text"):
        content = WRAPPINGS[name](photo)
        assert isinstance(content, bytes)
        shown.append(Image.open(io.BytesIO(content)))
    assert (ImageChops.difference(*shown).getbbox() or (0, 0))[1] >= 270
