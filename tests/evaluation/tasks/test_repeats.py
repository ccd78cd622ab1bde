"""`python -m evaluation repeats` against a gateway whose score depends on whether repeats are shown."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.errors import AssayError
from assay.v1 import event_pb2
from evaluation import clips
from evaluation.__main__ import main
from evaluation.clips import pan
from evaluation.tasks import repeats
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, started


@pytest.fixture(autouse=True)
def _small_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "WIDTH_PX", 96)
    monkeypatch.setattr(clips, "HEIGHT_PX", 54)
    monkeypatch.setattr(repeats, "CLIP_SECONDS", 0.2)


def dearer_without(call: Call) -> Iterable[event_pb2.ScoreEvent | AssayError]:
    answer = result(True, value=5.0 if call.config.video.sampling.keep_repeats else 5.25)
    answer.windows[0].repeated_frames = answer.windows[0].frame_count
    answer.windows[1].is_repeat = True
    return [started(True), event_pb2.ScoreEvent(result=answer)]


def photo(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (45, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((320, 180)).save(folder / "photo.png")
    return folder / "photo.png"


def test_what_leaving_repeats_out_does_to_the_score_is_reported(tmp_path: Path) -> None:
    photo(tmp_path)
    out = tmp_path / "repeats.json"
    with ScriptedGateway(dearer_without) as gateway:
        main(["repeats", "--photos", str(tmp_path), "--server", gateway.address, "--out", str(out)])
    reported = json.loads(out.read_text())["motions"]
    assert set(reported) == set(repeats.MOTIONS)
    assert reported["one picture"]["mean_move"] == pytest.approx(0.25)
    assert 0.0 < reported["one picture"]["repeated_frames"] < 1.0
    assert reported["one picture"]["windows_not_asked"] == pytest.approx(0.5)


def different(pictures: list[clips.Picture]) -> int:
    return len({picture.tobytes() for picture in pictures})


def test_clips_stand_still_as_their_names_say(tmp_path: Path) -> None:
    moving = pan(photo(tmp_path), 4.0)
    counted = {name: different(motion(moving)) for name, motion in repeats.MOTIONS.items()}
    assert counted["one picture"] == 1
    assert counted["slides of 2 s"] == 2
    assert counted["one picture and grain"] > 2
    assert counted["pan that stops"] < 0.6 * counted["slow pan"]
