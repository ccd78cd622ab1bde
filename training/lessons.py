"""Lessons: a step number becomes pictures with their conversations, laid out for the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from training.batches import Batches, Picture
from training.rows import Branch, Stage, Writer
from training.tower import MERGE, PATCH_PX
from training.tree import Forest, forest


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch, ready for the model."""

    pictures: list[Picture]
    forest: Forest


class Lessons(Dataset[Lesson]):
    """Batches with their conversations. Indexed by step."""

    def __init__(self, batches: Batches, writer: Writer, vocabulary: int, seed: int, stage: Stage = 2) -> None:
        self._batches, self._writer, self._vocabulary = batches, writer, vocabulary
        self._seed, self._stage = seed, stage

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Lesson:
        pictures = self._batches[step]
        rng = np.random.default_rng((self._seed, step, self._stage))
        # Prose is half of all tokens and the same grades once more: a third of the lessons is enough for it.
        with_prose = bool(rng.random() < 1 / 3)
        branches = [self._writer.branches(picture, self._stage, rng, with_prose) for picture in pictures]
        return Lesson(pictures, laid_out(pictures[0], branches, self._writer, self._vocabulary))


def laid_out(first: Picture, branches: Sequence[Sequence[Branch]], writer: Writer, vocabulary: int) -> Forest:
    """Trees of pictures that are as large as the first."""
    frames, height, width, _ = first.frames.shape
    grid = ((frames + 1) // 2, height // PATCH_PX, width // PATCH_PX)
    tokens = grid[0] * grid[1] * grid[2] // MERGE**2
    prefix = writer.prefix(frames > 1, tokens)
    vision = slice(len(prefix) - 1 - tokens, len(prefix) - 1)
    return forest(prefix, vision, grid, branches, vocabulary)
