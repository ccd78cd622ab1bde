"""Encoded: a row as the ids that the model reads, and which of them weigh in the loss."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from assay.engine.patches import PatchLayout
from assay.engine.prompt_tokens import prompt_tokens
from assay.engine.text_tokens import TextTokens
from assay.generator import Conversation
from training.paper.picture import read_picture
from training.paper.row import SCORED_TASKS, Row, split_at_score
from training.paper.settings import PictureSettings


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One row, on the CPU."""

    ids: Tensor
    """(tokens,) int64: system, picture, question, answer, <|im_end|>."""
    first_target: int
    """Place in ids of the answer's first token. It and all after it weigh in the loss; nothing before does."""
    question_end: int
    """Place in ids of the question's last token (in front of <|im_end|>)."""
    pixel_values: Tensor
    """(patches, 3 * 2 * 14 * 14) float32."""
    grid_thw: tuple[int, int, int]
    task: str
    score: float | None
    """The label, in [0, 10); as written where it is written."""
    digit_places: tuple[int, ...]
    """Places in ids of the label's digits, units first; empty where the answer has no label."""
    name: str
    """Of the file, for complaints."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Rows to ids with the tokeniser and the patches that the engine serves with."""

    text: TextTokens
    layout: PatchLayout
    pictures: PictureSettings
    cutoff: int

    def row(self, row: Row) -> Encoded:
        """Question and answer. ValueError names a row longer than the cutoff, or without a label."""
        prompt = self.question(row.path, row.question)
        answer, places = self._answer(row, len(prompt.ids))
        ids = torch.cat([prompt.ids, torch.tensor([*answer, self.text.special.im_end])])
        if len(ids) > self.cutoff:
            raise ValueError(
                f"{row.path.name}, task {row.task!r}: {len(ids)} tokens, more than the cutoff of {self.cutoff}; raise "
                "optimiser.cutoff, or lower pictures.max_pixels"
            )
        score = float(split_at_score(row)[1]) if places else row.score
        return replace(prompt, ids=ids, task=row.task, score=score, digit_places=places)

    def question(self, path: Path, question: str, score: float | None = None) -> Encoded:
        """The question alone, up to where the answer would start."""
        side = self.layout.patch_size * self.layout.merge_size
        clip = read_picture(path, self.pictures, side)
        prompt = prompt_tokens(clip, Conversation(question), self.layout, self.text)
        # The user's turn ends with the last <|im_end|> of the prompt.
        end = max(place for place, token in enumerate(prompt.ids) if token == self.text.special.im_end)
        return Encoded(
            ids=torch.tensor(prompt.ids),
            first_target=len(prompt.ids),
            question_end=end - 1,
            pixel_values=torch.from_numpy(prompt.clip.pixel_values),
            grid_thw=prompt.clip.grid_thw,
            task="",
            score=score,
            digit_places=(),
            name=path.name,
        )

    def _answer(self, row: Row, start: int) -> tuple[list[int], tuple[int, ...]]:
        """Ids of the answer, and where the label's digits will stand."""
        if row.task not in SCORED_TASKS:
            return self.text.encode(row.answer), ()
        # Cut where the engine cuts: it forces the text, and then lets the digits be written one by one.
        before, label, after = (self.text.encode(text) for text in split_at_score(row))
        digits = [place for place, token in enumerate(label) if token in self.text.digits]
        return [*before, *label, *after], tuple(start + len(before) + place for place in digits)
