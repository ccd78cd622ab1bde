"""Two real processes over gloo: what they learn together is what one process learns alone, sharded or not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from assay.engine.model.loading import load_model
from data.conversations import save_conversations
from tests.training.recipe.conftest import CONFIGS, SMALL, Set
from training.__main__ import main

pytestmark = pytest.mark.slow

FILES = {"adapter": "adapter_model.safetensors", "sharded": "model.safetensors"}


@pytest.fixture(scope="module")
def arguments(base: Path, pictures: Set, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Of a stage 2 with three direct rows: steps of two, and a last one in which the second process has nothing."""
    rows = tmp_path_factory.mktemp("rows")
    save_conversations([row for row in pictures.scored if row.task == "direct"][:3], rows)
    small = [part for assignment in (*SMALL, "optimiser.batch=1") for part in ("--set", assignment)]
    chosen = ["--config", str(CONFIGS / "koniq.toml"), "--override", str(CONFIGS / "miniature.toml"), *small]
    return ["stage2", *chosen, "--set", 'stage2.tasks=["direct"]', "--base", str(base), "--data", str(rows)]


@pytest.fixture(scope="module")
def together(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made: adapter, sharded; and what the first one said."""
    out = tmp_path_factory.mktemp("together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "tests.training.recipe.two_processes", str(out), *arguments]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(text[-3000:] for text in said)
    (out / "said.txt").write_text(said[0])
    return out


@pytest.fixture(scope="module")
def alone(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by one process, with two micro-batches a step."""
    out = tmp_path_factory.mktemp("alone")
    for name, more in (("adapter", []), ("sharded", ["--set", "model.from_scratch=true"])):
        step = ["--set", "optimiser.accumulate=2", "--out", str(out / name)]
        assert main([*arguments, *step, *more]) == 0
    return out


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", FILES)
def test_two_processes_learn_what_one_learns(together: Path, alone: Path, name: str) -> None:
    assert len(losses(alone / name)) == 2
    assert losses(together / name) == pytest.approx(losses(alone / name), rel=1e-3)
    one, other = load_file(together / name / FILES[name]), load_file(alone / name / FILES[name])
    assert {key: values.shape for key, values in one.items()} == {key: values.shape for key, values in other.items()}


def test_a_sharded_state_is_read_back_to_the_bit(together: Path) -> None:
    said = (together / "said.txt").read_text()
    written = [line for line in said.splitlines() if "trained weights written" in line and "sharded" in line]
    assert ("2 steps done" in said, len(written)) == (True, 2)
    first, again = load_file(together / "first.safetensors"), load_file(together / "sharded" / FILES["sharded"])
    assert first.keys() == again.keys()
    assert all(again[key].equal(first[key]) for key in first)


def test_the_engine_loads_what_was_sharded(together: Path) -> None:
    load_model(together / "sharded")
