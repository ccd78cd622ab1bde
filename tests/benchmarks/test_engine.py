import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.checkpoint import ModelSpec as Served
from assay.checkpoint import read_checkpoint
from assay.engine.model.loading import load_model
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip, Frame
from assay.generator import Conversation
from benchmarks.engine.__main__ import ENGINES, table
from benchmarks.engine.batch import Batch, read_batch, regex, write_batch
from benchmarks.engine.peers import process, transformers_generate
from benchmarks.engine.peers.process import Measured, PeerProcess, Unavailable, _own_precision, command_of
from benchmarks.engine.peers.worker import in_groups
from benchmarks.engine.plot import plot
from benchmarks.engine.progress import RoundsProgress
from benchmarks.engine.replicas import at_once
from benchmarks.engine.replicas import table as replicas_table
from benchmarks.engine.workloads import NAMES, Ask, asks, crops
from tests.assay.engine.oracle import engine_events, texts
from tests.tiny_checkpoint import write_tiny_checkpoint

FORM = Form(
    (
        *(Literal("Is it (sharp)?\n"), Free("reason", 9, ("\n",)), Literal("\n1:"), Choice("clutter", (" 1", " 10"))),
        *(Literal("."), Digits("score", 1, 2, lead=" <"), Literal(">")),
    )
)


@pytest.fixture(scope="module")
def served() -> Served:
    return read_checkpoint(Path("checkpoints/nano"))


@pytest.mark.parametrize("name", NAMES)
def test_no_two_clips_of_a_workload_are_the_same(served: Served, name: str) -> None:
    clips = [ask.clip.stacked().tobytes() for ask in asks(name, served, 3, seed=1)]
    assert len(set(clips)) == 3


def test_pictures_have_the_size_that_is_asked_for(served: Served) -> None:
    sizes = {asks(name, served, 1, seed=1, side_px=56)[0].clip.frames[0].pixels.shape for name in NAMES}
    assert sizes == {(56, 56, 3)}


def test_a_live_window_shares_three_quarters_of_its_frames(served: Served) -> None:
    first, second = asks("live direct", served, 2, seed=1)
    np.testing.assert_array_equal(first.clip.stacked()[2:], second.clip.stacked()[:6])


def test_what_the_form_allows_matches_its_expression() -> None:
    assert re.fullmatch(regex(FORM), "Is it (sharp)?\nVery.\n1: 10. <3.72>")
    assert not re.fullmatch(regex(FORM), "Is it (sharp)?\nVery.\n1: 11. <3.72>")


def test_a_batch_is_read_back_as_it_was(tmp_path: Path, served: Served) -> None:
    asked = asks("clip CoT", served, 2, seed=3)
    batch = write_batch(tmp_path / "batch.json", asked)
    read = read_batch(json.loads(batch.path.read_text()))
    assert [each.form for each in read] == [ask.form for ask in asked]
    for each, ask in zip(read, asked, strict=True):
        np.testing.assert_array_equal(each.clip.stacked(), ask.clip.stacked())


def test_transformers_is_held_to_the_form_and_writes_what_we_write(tmp_path: Path) -> None:
    checkpoint = load_model(write_tiny_checkpoint(tmp_path))
    clips = [Ask(_clip(seed), Conversation("Rate."), FORM) for seed in (1, 2)]
    theirs = transformers_generate.generate(checkpoint, clips)
    for ask, written in zip(clips, theirs, strict=True):
        events, *_ = engine_events(checkpoint, ask.clip, ask.conversation, ask.form)
        if "\n" in written.removeprefix("Is it (sharp)?\n").partition("\n1:")[0]:
            continue  # The reason ran into its end: transformers has no limit of its own there.
        assert written == "".join(text for _, text in texts(events))


def _clip(seed: int) -> Clip:
    return Clip((Frame(crops(1, 56, seed)[0], 0.0),), is_video=False)


def test_groups_are_answered_one_after_the_other() -> None:
    answers = in_groups([1, 2, 3], 2, lambda group: [f"{len(group)}"] * len(group))
    assert [text for text, _ in answers] == ["2", "2", "1"]


def test_a_video_is_asked_about_as_a_video(tmp_path: Path, served: Served) -> None:
    batch = json.loads(write_batch(tmp_path / "batch.json", asks("clip CoT", served, 1, seed=1)).path.read_text())
    assert "<|video_pad|>" in batch["prompt"]
    assert "<|image_pad|>" not in batch["prompt"]


def test_what_an_engine_prints_does_not_get_into_the_talk(tmp_path: Path) -> None:
    worker = (
        "import os; from benchmarks.engine.peers.worker import serve\n"
        "def load():\n  os.write(1, b'loud'); print('louder')\n  return lambda batch, n: [(batch['it'], 0.5)] * n\n"
        "serve(load)"
    )
    (tmp_path / "batch.json").write_text('{"it": "said"}')
    engine = PeerProcess("loud", [sys.executable, "-c", worker], tmp_path / "log")
    try:
        assert engine.answer(Batch(tmp_path / "batch.json", 2), 2).texts == ["said", "said"]
    finally:
        engine.close()
    assert "loud" in (tmp_path / "log").read_text()


def test_engines_answer_a_batch_each_at_the_same_time(tmp_path: Path) -> None:
    # Each waits until the other has begun.
    worker = (
        "import pathlib, sys, time; from benchmarks.engine.peers.worker import serve\n"
        "def answer(batch, n):\n"
        "  pathlib.Path(batch['mine']).touch()\n"
        "  while not pathlib.Path(batch['other']).exists(): time.sleep(0.01)\n"
        "  return [(batch['mine'], 0.5)] * n\n"
        "serve(lambda: answer)"
    )
    names = [str(tmp_path / each) for each in "ab"]
    for mine, other in (names, names[::-1]):
        Path(f"{mine}.json").write_text(json.dumps({"mine": mine, "other": other}))
    engines = [PeerProcess(name, [sys.executable, "-c", worker], Path(f"{name}.log")) for name in names]
    try:
        found = at_once(engines, [Batch(Path(f"{name}.json"), 1) for name in names], 2)
    finally:
        for engine in engines:
            engine.close()
    assert found.texts == [names[0], names[0], names[1], names[1]]


def test_replicas_are_compared_with_one_of_them() -> None:
    found = {
        ("image direct", 1): [Measured(1.0, [], ["a"] * 4, 0.8)],
        ("image direct", 2): [Measured(1.0, [], ["a"] * 7, 1.4)],
    }
    assert replicas_table(found).splitlines()[-1] == "| image direct | 2 | 7.00 | 1.75 | 200 |"


def test_torchvisions_operators_stay_declared(tmp_path: Path) -> None:
    described = "torch.library.register_fake('torchvision::nms')(lambda dets, scores, threshold: dets)"
    (tmp_path / "torchvision.py").write_text(f"import gc, torch; gc.collect(); {described}")
    found = f"{Path(process.__file__).parent / 'site'}:{tmp_path}"
    subprocess.run([sys.executable, "-c", "import torchvision"], check=True, env=os.environ | {"PYTHONPATH": found})


def test_an_engine_that_ends_is_unavailable_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no such model"):
        PeerProcess("gone", [sys.executable, "-c", "raise SystemExit('no such model')"], tmp_path / "log")


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    found = {("image CoT", n, name): [Measured(1.0, [0.1 * n], ["a"] * n)] for n in (1, 8) for name in ("ours", "vllm")}
    plot(found, tmp_path / "plot.png", "two cores")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 300


def test_the_table_says_how_far_others_are_from_ours() -> None:
    ours = [Measured(1.0, [0.1, 0.1], ["a", "b"], 0.4)]
    theirs = [Measured(2.0, [0.3, 0.3], ["a", "c"], 1.0)]
    rows = table({("image CoT", 1, "ours"): ours, ("image CoT", 1, "vllm"): theirs}).splitlines()
    assert rows[-1] == "| image CoT | 1 | vllm | 300 | 3.00 | 1.00 | 2.00 | 500 | 2.50 | 1 of 2 |"


def test_each_measurement_says_how_long_the_rest_will_take() -> None:
    progress = RoundsProgress(round_requests=10, rounds=3, limit_seconds=math.inf, began_seconds=100.0)
    assert progress.after("image CoT, 8 in flight, ours", 5, 160.0) == "17%, 5.0 min left: image CoT, 8 in flight, ours"


@pytest.mark.parametrize(("limit_seconds", "is_late"), [(90.0, False), (89.0, True)])
def test_no_round_is_begun_that_would_end_after_the_limit(limit_seconds: float, is_late: bool) -> None:
    progress = RoundsProgress(round_requests=10, rounds=3, limit_seconds=limit_seconds, began_seconds=100.0)
    assert progress.is_late(2, 160.0) == is_late


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_is_started_in_the_numbers_that_its_name_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_environment", lambda peer, _: Path(peer))
    monkeypatch.setattr(process, "_exported", lambda *_: tmp_path)
    words = command_of(name, tmp_path, 2, tmp_path)
    is_bfloat16 = name.endswith("bf16") or (name == "openvino int8" and _own_precision() == "bf16")
    assert is_bfloat16 == (words[-1] in ("bf16", "bfloat16"))
