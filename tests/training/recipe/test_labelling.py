import asyncio
from pathlib import Path

import pytest

from assay.checkpoint import read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.prompt import question
from data.conversations import ConversationRow, load_conversations, save_conversations
from tests.training.recipe.conftest import SCORES, Set, settings, silent
from training.recipe.example import split_at_score
from training.recipe.labelling import Labeller, labelled


@pytest.fixture(scope="module")
def rows(base: Path, pictures: Set) -> list[ConversationRow]:
    engine = Engine.load(base, EngineOptions(threads=1))
    labeller = Labeller(engine, read_checkpoint(Path("checkpoints/realqa-7b")), settings().pictures)
    try:
        return asyncio.run(labelled(labeller, list(zip(pictures.paths, SCORES, strict=True))[:2], silent))
    finally:
        engine.close()


@pytest.mark.slow
def test_every_picture_gets_its_three_rows_with_peoples_score(rows: list[ConversationRow]) -> None:
    found = [(row.task, split_at_score(row)[1]) for row in rows]
    assert found == [(task, score) for score in ("2.31", "7.0") for task in ("direct", "regular", "natural")]


@pytest.mark.slow
def test_a_labelled_row_asks_what_is_served_when_it_was_saved_and_read_again(
    rows: list[ConversationRow], tmp_path: Path
) -> None:
    save_conversations(rows, tmp_path)
    asked = {row.task: row.question for row in load_conversations(tmp_path)}
    served = read_checkpoint(Path("checkpoints/realqa-7b"))
    assert asked == {task: question(served, task, False) for task in ("direct", "regular", "natural")}
