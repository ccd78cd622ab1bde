"""What cannot fit is refused before Triton is started, with numbers and the way out."""

from pathlib import Path

import pytest

from assay.errors import CheckpointError
from triton_server import room
from triton_server.gpus import Gpu
from triton_server.room import check_room
from triton_server.settings import TritonServerSettings

NANO = Path("checkpoints/nano")


def test_a_checkpoint_that_fits_is_not_refused() -> None:
    check_room(TritonServerSettings(checkpoint=NANO))


def test_too_little_memory_says_how_much_is_needed_and_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory_bytes", lambda: 500 << 20)
    with pytest.raises(CheckpointError, match=r"needs 1\.1 GB of memory \(0\.1 GB of weights, .* 0\.5 GB are"):
        check_room(TritonServerSettings(checkpoint=NANO))


def test_every_instance_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available_memory_bytes", lambda: 3 << 30)
    with pytest.raises(CheckpointError, match=r"4 engines, each of 0\.1 GB of weights"):
        check_room(TritonServerSettings(checkpoint=NANO, instances=4))


def test_a_busy_gpu_is_named_with_what_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Gpu(0, "NVIDIA L4", 24 << 30, 100 << 20)
    monkeypatch.setattr(room, "visible_gpus", lambda environment: (busy,))
    monkeypatch.setattr(room, "chosen_gpus", lambda settings: (0,))
    with pytest.raises(CheckpointError, match=r"memory of GPU 0 \(NVIDIA L4, where others hold 25\.7 GB\)"):
        check_room(TritonServerSettings(checkpoint=NANO))


@pytest.mark.parametrize(("key", "value", "said"), [("model_type", "llama", "must be 'qwen2_vl', got 'llama'")])
def test_a_checkpoint_of_another_family_is_refused(tmp_path: Path, key: str, value: str, said: str) -> None:
    for file in NANO.iterdir():
        (tmp_path / file.name).symlink_to(file.resolve())
    text = (NANO / "config.json").read_text().replace('"model_type": "qwen2_vl",', f'"{key}": "{value}",', 1)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=said):
        check_room(TritonServerSettings(checkpoint=tmp_path))
