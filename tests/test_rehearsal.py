"""The rehearsal of the 7B in miniature: the same command, a few megabytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from assay.errors import CheckpointError
from assay.weight_shapes import check_weights
from assay.weights import read_json, shards, stored_tensors
from tests.rehearsal import __main__ as rehearsal
from tests.rehearsal.weights import base_bytes, miniature_shape, true_shape, write_base
from training.recipe.shape import config_7b

ROOT = Path(__file__).parents[1]
TOKENIZER = ROOT / "checkpoints/nano/tokenizer.json"
IDS = {"<|vision_start|>": 1, "<|vision_end|>": 2, "<|image_pad|>": 3, "<|video_pad|>": 4, "<|endoftext|>": 5}


def test_the_true_shape_has_the_weights_of_the_7b() -> None:
    theirs = base_bytes(json.loads(config_7b().to_json_string()))
    assert base_bytes(true_shape(TOKENIZER, 28, 32).config) == theirs


def test_what_is_written_lies_in_five_shards_with_an_index_as_on_the_hub(tmp_path: Path) -> None:
    write_base(miniature_shape(TOKENIZER, {**IDS, "<|im_end|>": 6}), tmp_path / "base", lambda line: None)
    check_weights(read_json(tmp_path / "base/config.json"), stored_tensors(tmp_path / "base"))
    assert shards(tmp_path / "base") == [f"model-0000{number}-of-00005.safetensors" for number in range(1, 6)]


def test_a_depth_that_does_not_fit_is_refused_with_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "available_memory_bytes", lambda: 10 << 30)
    monkeypatch.setattr(rehearsal, "fetch", lambda piece, cache: TOKENIZER)
    with pytest.raises(CheckpointError, match=r"28 layers need 36\.\d GB of memory and 33\.\d GB of disk; 10\.7"):
        rehearsal._shape(28, 32, False, tmp_path, "assay")


@pytest.mark.parametrize(("engine", "layers"), [("assay", 12), ("vllm", 28)])
def test_the_largest_depth_that_fits_is_taken_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], engine: str, layers: int
) -> None:
    monkeypatch.setattr(rehearsal, "available_memory_bytes", lambda: 20 << 30)
    monkeypatch.setattr(rehearsal, "free_disk_bytes", lambda path: 100 << 30)
    monkeypatch.setattr(rehearsal, "fetch", lambda piece, cache: TOKENIZER)
    shape = rehearsal._shape(0, 32, False, tmp_path, engine)
    assert shape.config["num_hidden_layers"] == layers
    assert capsys.readouterr().out.startswith(f"{layers} of 28 layers and 32 of 32 of the tower")


def rehearsed(*options: str) -> str:
    command = [sys.executable, "-m", "tests.rehearsal", "--miniature", "--forms", "direct,regular", *options]
    done = subprocess.run(
        [*command, "--files", "demo/photo.jpg"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_random_weights_go_from_files_to_scores_in_one_run_or_two(tmp_path: Path) -> None:
    weights = ("--keep", str(tmp_path / "weights"))
    assert "merge and prove" in rehearsed(*weights, "--until", "merge")
    assert [path.name for path in sorted((tmp_path / "weights").iterdir())] == ["adapter", "merged"]
    served = rehearsed(*weights, "--load", "2")
    assert [line for line in served.splitlines() if line.startswith("demo/photo.jpg")]
    assert "merge and prove" not in served
    table = [line.split() for line in served.splitlines() if line.startswith(("pictures", "clips"))]
    assert [(kind, level, failed) for kind, level, *_, failed, _ in table] == [
        ("pictures", "2", "0"),
        ("clips", "2", "0"),
    ]


@pytest.mark.slow
def test_without_keep_the_weights_are_removed_at_the_end(tmp_path: Path) -> None:
    rehearsed("--work", str(tmp_path), "--until", "merge")
    assert list(tmp_path.iterdir()) == []
