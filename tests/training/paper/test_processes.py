"""Two real processes over gloo: what they learn together is what one process learns alone, sharded or not."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from assay.engine.checkpoint import load_checkpoint
from data.conversations import ConversationRow, save_conversations
from tests.training.paper.conftest import CONFIGS, SMALL, Set
from training.paper.__main__ import main

pytestmark = pytest.mark.slow

SCRATCH = ["--set", "model.from_scratch=true"]
SHARDED = [*SCRATCH, "--set", "model.sharded=true"]


@pytest.fixture(scope="module")
def rows(pictures: Set, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three direct rows: steps of two, and a last one in which the second process has nothing."""
    out = tmp_path_factory.mktemp("rows")
    direct = [row for row in pictures.scored if row.task == "direct"][:3]
    save_conversations(
        [ConversationRow(row.path, row.question, row.answer, row.task, row.score) for row in direct], out
    )
    return out


def arguments(base: Path, rows: Path, out: Path, accumulate: int, more: list[str]) -> list[str]:
    small = [part for assignment in SMALL for part in ("--set", assignment)]
    step = ["--set", "optimiser.batch=1", "--set", f"optimiser.accumulate={accumulate}"]
    told = ["--config", str(CONFIGS / "koniq.toml"), "--override", str(CONFIGS / "miniature.toml"), *small, *step]
    rest = ["--set", 'stage2.tasks=["direct"]', "--base", str(base), "--data", str(rows), "--out", str(out), *more]
    return ["stage2", *told, *rest]


def by_two(base: Path, rows: Path, out: Path, more: list[str]) -> str:
    """What both printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    command = [*launch, "-m", "training.paper", *arguments(base, rows, out, 1, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("more", "alone"), [([], []), (SHARDED, SCRATCH)], ids=["adapter", "sharded"])
def test_two_processes_learn_what_one_learns(
    base: Path, rows: Path, tmp_path: Path, more: list[str], alone: list[str]
) -> None:
    together, single = tmp_path / "together", tmp_path / "single"
    by_two(base, rows, together, more)
    assert main(arguments(base, rows, single, 2, alone)) == 0
    assert len(losses(single)) == 2
    assert losses(together) == pytest.approx(losses(single), rel=1e-3)
    name = "model.safetensors" if more else "adapter_model.safetensors"
    one, other = load_file(together / name), load_file(single / name)
    assert one.keys() == other.keys()
    assert all(one[key].shape == other[key].shape for key in one)
    if more:
        load_checkpoint(together, "cpu")
        # Once more: the gathered state is put back into the shards.
        assert "2 steps done" in by_two(base, rows, together, more)
        again = load_file(together / name)
        assert all(again[key].equal(one[key]) for key in one)
