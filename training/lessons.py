"""Lessons: a step number becomes pictures with their conversations, laid out for the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from training.batches import Batches, Picture
from training.distillation import Teacher, TeacherTargets, visible_tokens
from training.rows import Branch, Stage, Writer
from training.tower import MERGE, PATCH_PX
from training.tree import Forest, forest


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch, ready for the model."""

    pictures: list[Picture]
    forest: Forest
    visible: Tensor | None = None
    """Places of the vision tokens that are computed; all if None."""
    teacher_targets: TeacherTargets | None = None
    """None for clips, which the teacher does not know."""


class Lessons(Dataset[Lesson]):
    """Batches with their conversations. Indexed by step."""

    def __init__(
        self,
        batches: Batches,
        writer: Writer,
        vocabulary: int,
        seed: int,
        stage: Stage = 2,
        teacher: Teacher | None = None,
    ) -> None:
        """With a teacher, the batches have to keep their native pixels."""
        self._batches, self._writer, self._vocabulary = batches, writer, vocabulary
        self._seed, self._stage, self._teacher = seed, stage, teacher

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Lesson:
        pictures = self._batches[step]
        rng = np.random.default_rng((self._seed, step, self._stage))
        branches = self._branches(pictures, rng)
        has_targets = self._teacher is not None and len(pictures[0].frames) == 1
        teacher_targets = self._teacher.targets(pictures) if self._teacher is not None and has_targets else None
        visible = visible_tokens(pictures[0], rng) if has_targets else None
        trees = laid_out(pictures[0], branches, self._writer, self._vocabulary, visible)
        return Lesson([replace(picture, native=None) for picture in pictures], trees, visible, teacher_targets)

    def _branches(self, pictures: Sequence[Picture], rng: np.random.Generator) -> list[list[Branch]]:
        # Prose is the same grades once more: a third of the lessons is enough for it. Of photos as they are, which are
        # the cheap ones and many, there are the score and what can be said of the whole to learn; a quarter of them is
        # asked for all the rest.
        draw = rng.random()
        if self._stage == 2 and pictures[0].is_plain and draw > 1 / 4:
            return [
                [self._writer.branch(picture, "direct", rng), self._writer.reasons_branch(picture, rng)]
                for picture in pictures
            ]
        return [self._writer.branches(picture, self._stage, rng, draw < 1 / 3) for picture in pictures]


def laid_out(
    first: Picture,
    branches: Sequence[Sequence[Branch]],
    writer: Writer,
    vocabulary: int,
    visible: Tensor | None = None,
) -> Forest:
    """Trees of pictures that are as large as the first; with the visible vision tokens alone, if that is given."""
    frames, height, width, _ = first.frames.shape
    grid = ((frames + 1) // 2, height // PATCH_PX, width // PATCH_PX)
    tokens = grid[0] * grid[1] * grid[2] // MERGE**2 if visible is None else len(visible)
    prefix = writer.prefix(frames > 1, tokens)
    vision = slice(len(prefix) - 1 - tokens, len(prefix) - 1)
    return forest(prefix, vision, grid, branches, vocabulary, visible=visible)
