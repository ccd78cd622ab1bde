"""What serving takes, computed from the files of a checkpoint."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from assay.checkpoint import read_checkpoint
from assay.errors import CheckpointError
from assay.model_memory import BFLOAT16_BYTES, available_memory_bytes, check_stored, model_memory
from assay.weight_shapes import weight_shapes
from assay.weights import StoredTensor
from training.recipe.shape import config_7b
from training.recipe.weight_files import write_tensors

NANO, REALQA = Path("checkpoints/nano"), Path("checkpoints/realqa-7b")


@pytest.fixture(scope="module")
def true_7b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Headers of the true shape over a file that is one hole: 16.6 GB of which none is on the disk."""
    directory = tmp_path_factory.mktemp("7b")
    shapes = weight_shapes(config := json.loads(config_7b().to_json_string()))
    (directory / "config.json").write_text(json.dumps(config))
    rows, end = {}, 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        rows[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end := end + size]}
    header = json.dumps(rows).encode()
    with (directory / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
    return directory


def test_the_7b_takes_what_its_card_says(true_7b: Path) -> None:
    sheet = model_memory(true_7b, read_checkpoint(REALQA), number_bytes=BFLOAT16_BYTES, requests=8, cache_bytes=0)
    # 8.29 thousand million weights; 28 layers of 4 heads of 128, keys and values.
    assert (round(sheet.weights / 1e9, 2), sheet.kv_per_token) == (16.58, 28 * 4 * 128 * 2 * 2)
    assert (sheet.picture_tokens, sheet.clip_tokens) == (512, 32 * 512)


def test_more_requests_in_flight_take_more_cache() -> None:
    one, eight = (
        model_memory(NANO, read_checkpoint(NANO), number_bytes=4, requests=count, cache_bytes=0) for count in (1, 8)
    )
    assert (eight.kv, eight.weights) == (8 * one.kv, one.weights)


def test_weights_of_another_shape_are_found_without_loading_them(tmp_path: Path) -> None:
    broken = Path(shutil.copytree(NANO, tmp_path / "broken"))
    file = broken / "model.safetensors"
    only = StoredTensor("model.norm.weight", "F16", (4,), file, 0, 8)
    write_tensors(file, [only], lambda tensor: np.zeros(8, np.uint8))
    with pytest.raises(CheckpointError, match=r"the model of config\.json lacks model\.embed_tokens\.weight, .* more"):
        check_stored(broken)


MEMINFO = "MemTotal:       24000000 kB\nMemAvailable:   20000000 kB\n"


def _files(directory: Path, **contents: str) -> Path:
    for name, text in contents.items():
        (directory / name.replace("_", ".", 1)).write_text(text)
    return directory


def test_what_the_kernel_says_is_available_where_no_container_limits_it(tmp_path: Path) -> None:
    _files(tmp_path, memory_max="max\n", meminfo=MEMINFO)
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 20_000_000 << 10


def test_a_containers_limit_counts_and_its_page_cache_can_be_dropped(tmp_path: Path) -> None:
    stat = "anon 600\ninactive_file 300\n"
    _files(tmp_path, memory_max="1000\n", memory_current="900\n", memory_stat=stat, meminfo=MEMINFO)
    assert available_memory_bytes(tmp_path, tmp_path / "meminfo") == 400
