import asyncio
from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.engine import Engine
from tests.training.paper.conftest import SCORES, Set, settings, silent
from training.paper.label import Labeller, labelled
from training.paper.row import Row, split_at_score


def rows(base: Path, pictures: Set) -> list[Row]:
    engine = Engine.load(base, threads=1)
    labeller = Labeller(engine, read_checkpoint(Path("checkpoints/realqa-7b")), settings().pictures)
    try:
        return asyncio.run(labelled(labeller, list(zip(pictures.paths, SCORES, strict=True))[:2], silent))
    finally:
        engine.close()


@pytest.mark.slow
def test_every_picture_gets_its_three_rows_with_peoples_score(base: Path, pictures: Set) -> None:
    found = [(row.task, split_at_score(row)[1]) for row in rows(base, pictures)]
    assert found == [(task, score) for score in ("2.31", "7.0") for task in ("direct", "regular", "natural")]
