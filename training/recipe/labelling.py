"""Self-labelling: the stage-1 model writes the attributes of a rated set, and people's scores end each answer.

The model fills in the checkpoint's own `regular` form, segment by segment, so every answer can be read and no picture
is dropped. Of each picture come three rows: direct, regular, natural (the same attributes as prose).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.checkpoint import ModelSpec
from assay.form import Digits, Form, Literal
from assay.generator import Generator
from assay.prompt import SCORE, answer_form, question
from data.conversations import ConversationRow
from training.recipe.example import (
    direct_row,
    natural_reasoning,
    reasoned_row,
    stage1_question,
    written_score,
)
from training.recipe.picture import read_picture
from training.recipe.scoring import answered
from training.recipe.settings import PictureSettings

_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Labeller:
    """The stage-1 model with the forms it is asked to fill in."""

    generator: Generator
    checkpoint: ModelSpec
    pictures: PictureSettings

    async def rows(self, path: Path, score: float) -> list[ConversationRow]:
        """Direct, regular and natural row of a picture; score in [0, 10)."""
        form = answer_form(self.checkpoint, "regular")
        clip = read_picture(path, self.pictures, self.checkpoint.pixels.factor_px)
        said = await answered(self.generator, self.checkpoint, clip, stage1_question("mix"), form.before(SCORE))
        written = self.checkpoint.form["regular"].score_lead + written_score(score)
        answer = f"{said.text}{written}{_ending(form)}"
        regular = ConversationRow(path, question(self.checkpoint, "regular", False), answer, "regular", score)
        return [direct_row(path, score), regular, reasoned_row("natural", path, score, natural_reasoning(said.values))]


async def labelled(
    labeller: Labeller, scored: Sequence[tuple[Path, float]], say: Callable[[str], None] = print
) -> list[ConversationRow]:
    """Rows of all files, in their order. An error of one file ends it all, with the file's name."""
    rows: list[ConversationRow] = []
    async for several in _in_order(labeller, scored):
        rows += several
        if len(rows) % 30 == 0 or len(rows) == 3 * len(scored):
            say(f"labelled {len(rows) // 3}/{len(scored)}")
    return rows


async def _in_order(labeller: Labeller, scored: Sequence[tuple[Path, float]]) -> AsyncIterator[list[ConversationRow]]:
    for start in range(0, len(scored), _TOGETHER):
        for several in await asyncio.gather(*(labeller.rows(*each) for each in scored[start : start + _TOGETHER])):
            yield several


def _ending(form: Form) -> str:
    """The literal text behind the score."""
    places = [place for place, segment in enumerate(form.segments) if isinstance(segment, Digits)]
    return "".join(segment.text for segment in form.segments[places[0] + 1 :] if isinstance(segment, Literal))
