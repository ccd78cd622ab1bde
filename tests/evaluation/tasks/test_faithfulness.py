"""`python -m evaluation faithfulness` against a gateway that keeps or breaks its word."""

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
from assay.checkpoint import read_checkpoint
from assay.errors import AssayError
from assay.v1 import event_pb2
from evaluation.__main__ import main
from evaluation.tasks.faithfulness import shuffled
from tests.assay.scripted_gateway import Call, ScriptedGateway, attributes, result, started

Captured = pytest.CaptureFixture[str]
Events = Iterable[event_pb2.ScoreEvent | AssayError]
NANO = Path(__file__).parents[3] / "checkpoints" / "nano"
HEADINGS = {
    "composition": "1.2 Composition Score",
    "eye_catching": "1.4 Eye-Catching Score",
    "subject_integrity": "2.2 Subject Integrity",
    "subject_clutter": "2.3 Subject Clutter",
    "background_clutter": "2.5 Background Clutter",
    "level_shot": "2.6 Level Shot",
    "clarity": "3.1 Image Clarity",
    "exposure": "3.2 Exposure",
    "saturation": "3.3 Saturation",
}


def answer(reasoning: str, fingerprint: str) -> Events:
    judged = result()
    judged.windows[0].reasoning = reasoning
    judged.model.preprocessing_fingerprint = fingerprint
    return [started(), event_pb2.ScoreEvent(result=judged)]


def words(**lies: str) -> str:
    """The reasoning that goes with the scripted grades, but for the lies."""
    grades = {each.name: each.grade for each in attributes() if each.grade} | lies
    lines = [f"{heading}: {grades[name]}" for name, heading in HEADINGS.items()]
    return "\n".join(["1.1 Reason for Composition Score: careless framing with much detail and even light", *lines])


def truthful(call: Call) -> Events:
    return answer(words(), read_checkpoint(NANO).preprocessing_fingerprint)


def lying(call: Call) -> Events:
    return answer(words(clarity="very blurry"), read_checkpoint(NANO).preprocessing_fingerprint)


def of_another_checkpoint(call: Call) -> Events:
    return answer(words(), "beef")


def looking(call: Call) -> Events:
    """Grades clarity by the picture: very clear where neighbours differ much."""
    with Image.open(io.BytesIO(b"".join(call.chunks))) as picture:
        is_sharp = np.abs(np.diff(np.asarray(picture.convert("L"), np.float64), axis=1)).mean() > 40
    reported, judged = answer(words(), read_checkpoint(NANO).preprocessing_fingerprint)
    assert isinstance(judged, event_pb2.ScoreEvent)
    graded = Attribute("clarity", "very clear" if is_sharp else "very blurry")
    judged.result.windows[0].attributes.append(wire.attribute_to_wire(graded))
    return [reported, judged]


def ran(script: Callable[[Call], Events], tmp_path: Path) -> int:
    """Writes faithfulness.json; the exit code."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    out = str(tmp_path / "faithfulness.json")
    with ScriptedGateway(script) as gateway:
        wanted = ["--photos", str(tmp_path), "--checkpoint", str(NANO)]
        return main(["faithfulness", *wanted, "--server", gateway.address, "--out", out])


def measured(script: Callable[[Call], Events], tmp_path: Path) -> dict[str, Any]:
    ran(script, tmp_path)
    return dict(json.loads((tmp_path / "faithfulness.json").read_text()))


def test_words_that_say_the_grades_agree_in_all_of_them(tmp_path: Path) -> None:
    assert measured(truthful, tmp_path)["all_words"] == {"n": 9, "equal": 9, "share": 1.0}


def test_a_word_that_says_another_grade_does_not_agree(tmp_path: Path) -> None:
    shares = {name: row["share"] for name, row in measured(lying, tmp_path)["words"].items()}
    assert [name for name, share in shares.items() if share < 1] == ["clarity"]


def test_a_bad_reason_for_a_good_grade_is_noticed(tmp_path: Path) -> None:
    """The scripted composition is 9 of 10, and the reason says that nothing is arranged."""
    row = measured(truthful, tmp_path)["reasons"]["composition"]
    assert row == {"n": 1, "in_other_words": 0, "same_fifth": 0.0, "same_or_next_fifth": 0.0}


def test_a_reason_that_is_missing_is_counted_apart(tmp_path: Path) -> None:
    assert measured(truthful, tmp_path)["reasons"]["eye_catching"]["in_other_words"] == 1


def test_a_gateway_that_does_not_look_changes_nothing(tmp_path: Path) -> None:
    shares = {name: row["any_grade"] for name, row in measured(truthful, tmp_path)["changes"].items()}
    assert shares == {"shuffled": 0.0, "blurred": 0.0}


def test_a_gateway_that_looks_changes_its_grades_with_blur(tmp_path: Path) -> None:
    assert measured(looking, tmp_path)["changes"]["blurred"]["any_grade"] == 1.0


def test_words_of_another_checkpoint_are_not_read(tmp_path: Path, capsys: Captured) -> None:
    assert ran(of_another_checkpoint, tmp_path) == 2
    assert "set up with another assay.toml" in capsys.readouterr().err


def test_shuffling_keeps_every_part() -> None:
    picture = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
    before, after = (sorted(np.asarray(each).reshape(-1, 3).tolist()) for each in (picture, shuffled(picture)))
    assert before == after


def test_shuffling_moves_parts() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    assert shuffled(picture).tobytes() != picture.tobytes()
