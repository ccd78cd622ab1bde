"""Every data set that can be trained on, from its published layout (in miniature) to a checkpoint that loads."""

import json
from pathlib import Path

import pytest

from assay.engine.checkpoint import load_checkpoint
from tests.data.miniature import write_miniature
from tests.training.paper.conftest import CONFIGS, settings, silent
from training.paper.__main__ import _scored
from training.paper.merge import merge
from training.paper.settings import read_settings
from training.paper.stages import Task, stage2
from training.paper.wording import direct_row


@pytest.mark.slow
@pytest.mark.parametrize("name", ["koniq", "spaq", "livec", "ava", "tad66k", "realqa"])
def test_the_loss_falls_and_the_merged_checkpoint_loads(name: str, base: Path, tmp_path: Path) -> None:
    scored = _scored(read_settings(CONFIGS / f"{name}.toml"), write_miniature(name, tmp_path / "data"))
    rows = [direct_row(path, score) for path, score in scored[:4]]
    chosen = settings("optimiser.batch=4", 'stage2.tasks=["direct"]', "stage2.epochs=3", name=name)
    out = stage2(Task(chosen, base, tmp_path / "stage2", say=silent), rows)
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    merge(base, out, tmp_path / "merged")
    load_checkpoint(tmp_path / "merged", "cpu")
