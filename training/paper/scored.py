"""Scored: what a trained stage says of pictures, by the engine that is served from, in the forms that are served.

For rows that no server can answer (the regression head) or that are not worth a server each (ablations). Everything
else is measured through the gateway by evaluation.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from assay.attribute import KINDS
from assay.checkpoint import Checkpoint
from assay.digits import score_from_digits
from assay.form import Form, Free
from assay.frame import Clip
from assay.generator import Chose, Conversation, Counted, Event, Generator, Wrote
from assay.prompt import SCORE, answer_form, grade_of_option, question
from data import labels
from data.labels import Label
from training.paper.batch import batch_of
from training.paper.encoded import Encoder
from training.paper.picture import read_picture
from training.paper.regression import SCALE, Regressor
from training.paper.settings import PictureSettings
from training.paper.wording import stage1_question, wording

Asked = Literal["direct", "regular", "attributes"]
ASKED: tuple[Asked, ...] = ("direct", "regular", "attributes")


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, by segment."""

    text: str
    """All of it, as written."""
    values: Mapping[str, str]
    """Attribute (or its reason) to the grade or the words."""
    score: float | None
    """In units of the checkpoint's scale; None if the form asked for none."""


@dataclass(frozen=True, slots=True)
class Asker:
    """A model and what it is asked. `attributes` is the question of Mix in the regular form, up to the score."""

    generator: Generator
    checkpoint: Checkpoint
    pictures: PictureSettings
    asked: Asked

    async def labels(self, path: Path, file: str, by: str) -> list[Label]:
        """The score and every grade. ValueError names a file that is no picture."""
        clip = read_picture(path, self.pictures, self.checkpoint.pixels.factor_px)
        form = answer_form(self.checkpoint, "direct" if self.asked == "direct" else "regular")
        if self.asked == "attributes":
            said = await answered(self.generator, self.checkpoint, clip, stage1_question("mix"), form.before(SCORE))
        else:
            asked = question(self.checkpoint, self.asked, is_video=False)
            said = await answered(self.generator, self.checkpoint, clip, asked, form)
        told = {name: value for name, value in said.values.items() if name in KINDS}
        if named := [said.values[name] for name in ("subject", "background") if said.values.get(name)]:
            told["subject_and_background"] = "; ".join(named)
        items = [Label(file, name, value, "", "", "", by, "", "") for name, value in told.items()]
        return [*items, *([score_label(file, said.score, by)] if said.score is not None else [])]


async def answered(generator: Generator, checkpoint: Checkpoint, clip: Clip, asked: str, form: Form) -> Said:
    """The form filled in."""
    texts: list[str] = []
    values: dict[str, str] = {segment.name: "" for segment in form if isinstance(segment, Free)}
    score: float | None = None
    events: AsyncGenerator[Event, None] = generator.generate(clip, Conversation(asked), form)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Wrote):
                texts.append(event.text)
                if event.segment in values:
                    values[event.segment] += event.text
            elif isinstance(event, Chose):
                values[event.segment] = grade_of_option(checkpoint, event.segment, event.option)
            elif isinstance(event, Counted):
                score = score_from_digits(event, checkpoint.scale, checkpoint.score.expectation).value
    return Said("".join(texts), {name: value.strip() for name, value in values.items()}, score)


def with_decimals(checkpoint: Checkpoint, digits: int) -> Checkpoint:
    """The same forms with a number of M = `digits` digits, as a model of the digit ablation writes it."""
    rules = checkpoint.digits[SCORE].model_copy(update={"decimals": digits - 1})
    return checkpoint.model_copy(update={"digits": {**checkpoint.digits, SCORE: rules}})


@torch.inference_mode()
def regressed(regressor: Regressor, encoder: Encoder, pictures: Sequence[Path]) -> list[float]:
    """The head's scores, in [0, 10]. ValueError names a file that is no picture."""
    asked = wording()["direct"]["question"].format(kind="image")
    regressor.eval()
    device = next(regressor.parameters()).device
    special = encoder.text.special
    scores: list[float] = []
    for path in pictures:
        batch = batch_of([encoder.question(path, asked)], special.image_pad, special.im_end)
        scores.append(SCALE * float(regressor(batch.to(device))))
    return scores


def score_label(file: str, score: float, by: str) -> Label:
    return Label(file, labels.SCORE, f"{score:.4f}", "", "", f"0..{SCALE:g}", by, "", "")
