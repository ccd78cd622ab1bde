"""`python -m evaluation video` against a gateway that weighs files, with short clips."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay import wire
from assay.errors import AssayError
from assay.score import Scale, Score
from assay.v1 import event_pb2
from evaluation import clips
from evaluation.__main__ import main
from evaluation.clips import pan, write_clip
from evaluation.tasks import video as videos
from tests.assay.scripted_gateway import Call, ScriptedGateway, result, score, started

Events = Iterable[event_pb2.ScoreEvent | AssayError]
SCALE = Scale(0.0, 10.0)


@pytest.fixture(autouse=True, scope="module")
def _small_and_short() -> Iterator[None]:
    """Pixels and seconds cost time; nothing here depends on how many there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "WIDTH_PX", 96)
        patch.setattr(clips, "HEIGHT_PX", 54)
        patch.setattr(videos, "CLIP_SECONDS", 0.2)
        patch.setattr(videos, "TIMELINE_SECONDS", 0.2)
        yield


def by_weight(call: Call) -> Events:
    """Larger files are better: follows CRF."""
    size = len(b"".join(call.chunks))
    return [started(True), event_pb2.ScoreEvent(result=result(True, value=size / 1e5))]


def indifferent(call: Call) -> Events:
    return [started(True), event_pb2.ScoreEvent(result=result(True, value=5.0))]


def timelined(*, bad_window: int) -> Callable[[Call], Events]:
    """Two windows; of the lighter file of the last two, one is bad."""
    sizes: list[int] = []

    def script(call: Call) -> Events:
        sizes.append(len(b"".join(call.chunks)))
        answer = result(True, value=5.0)
        if len(sizes) == 23 and bad_window >= 0:
            answer.windows[bad_window].score.CopyFrom(wire.score_to_wire(Score(2.0, 0.1, SCALE)))
        return [started(True), event_pb2.ScoreEvent(result=answer)]

    return script


def measured(script: Callable[[Call], Events], tmp_path: Path, *, of: str = "--photos") -> dict[str, Any]:
    noise = np.random.default_rng(0).integers(0, 255, (45, 80, 3), dtype=np.uint8)
    folder = tmp_path / "files"
    folder.mkdir()
    Image.fromarray(noise).resize((320, 180)).save(folder / "photo.png")
    if of == "--videos":
        (folder / "clip.mp4").write_bytes(write_clip(pan(folder / "photo.png", 0.2)))
    out = tmp_path / "video.json"
    with ScriptedGateway(script) as gateway:
        # One at a time, so that scripts know which file comes when.
        wanted = [of, str(folder), "--concurrency", "1", "--server", gateway.address, "--out", str(out)]
        main(["video", *wanted])
    return dict(json.loads(out.read_text()))


def test_a_score_that_falls_with_every_step_reaches_minus_one(tmp_path: Path) -> None:
    row = measured(by_weight, tmp_path)["ladders"]["crf"]
    assert (row["mean_srcc"], row["at_most_minus_0.9"]) == (pytest.approx(-1.0), 1.0)


@pytest.fixture(scope="module")
def unmoved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is reported of a gateway that gives everything a 5."""
    return measured(indifferent, tmp_path_factory.mktemp("unmoved"))


def test_a_score_that_never_moves_counts_as_zero(unmoved: dict[str, Any]) -> None:
    assert unmoved["ladders"]["shake"]["mean_srcc"] == 0.0


def test_the_window_of_the_bad_second_is_found(tmp_path: Path) -> None:
    bad = measured(timelined(bad_window=1), tmp_path)["bad_second"]
    assert (bad["falls_most_there"], bad["mean_fall_there"], bad["mean_change_elsewhere"]) == (1.0, 3.0, 0.0)


def test_another_window_that_falls_is_not_the_one(tmp_path: Path) -> None:
    assert measured(timelined(bad_window=0), tmp_path)["bad_second"]["falls_most_there"] == 0.0


def test_a_timeline_that_shows_nothing_is_not_counted_as_a_find(tmp_path: Path) -> None:
    assert measured(timelined(bad_window=-1), tmp_path)["bad_second"]["falls_most_there"] == 0.0


def test_clips_of_videos_are_distinguished_from_pans(tmp_path: Path) -> None:
    numbers = measured(indifferent, tmp_path, of="--videos")
    assert (numbers["clips"], numbers["made_of_photos"]) == (1, 0)


def test_every_rung_has_a_row(unmoved: dict[str, Any]) -> None:
    assert {row["ladder"] for row in unmoved["rows"]} == {
        "",
        *("crf", "downscaling", "freezing", "shake"),
        *("timeline", "bad second"),
    }


def test_a_score_is_reported_for_every_window(unmoved: dict[str, Any]) -> None:
    assert unmoved["rows"][-1]["windows"] == [pytest.approx(score(5.0).value)] * 2
