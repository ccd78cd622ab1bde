import asyncio
from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.engine import Engine
from assay.prompt import question
from data.conversations import ConversationRow, load_conversations, save_conversations
from tests.training.paper.conftest import SCORES, Set, settings, silent
from training.paper.label import Labeller, labelled
from training.paper.row import Row, split_at_score


@pytest.fixture(scope="module")
def rows(base: Path, pictures: Set) -> list[Row]:
    engine = Engine.load(base, threads=1)
    labeller = Labeller(engine, read_checkpoint(Path("checkpoints/realqa-7b")), settings().pictures)
    try:
        return asyncio.run(labelled(labeller, list(zip(pictures.paths, SCORES, strict=True))[:2], silent))
    finally:
        engine.close()


@pytest.mark.slow
def test_every_picture_gets_its_three_rows_with_peoples_score(rows: list[Row]) -> None:
    found = [(row.task, split_at_score(row)[1]) for row in rows]
    assert found == [(task, score) for score in ("2.31", "7.0") for task in ("direct", "regular", "natural")]


@pytest.mark.slow
def test_a_labelled_row_asks_what_is_served_when_it_was_saved_and_read_again(rows: list[Row], tmp_path: Path) -> None:
    saved = [ConversationRow(row.path, row.question, row.answer, row.task, row.score) for row in rows]
    save_conversations(saved, tmp_path)
    asked = {row.task: row.question for row in load_conversations(tmp_path)}
    served = read_checkpoint(Path("checkpoints/realqa-7b"))
    assert asked == {task: question(served, task, False) for task in ("direct", "regular", "natural")}
