"""Lessons: a step number becomes pictures with their conversations, laid out for the model."""

from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from training.batches import Batches, Picture
from training.rows import Writer
from training.tower import MERGE, PATCH_PX
from training.tree import Forest, forest


@dataclass(frozen=True, slots=True)
class Lesson:
    """One batch, ready for the model."""

    pictures: list[Picture]
    forest: Forest


class Lessons(Dataset[Lesson]):
    """Batches with their conversations. Indexed by step."""

    def __init__(self, batches: Batches, writer: Writer, vocabulary: int, seed: int) -> None:
        self._batches, self._writer, self._vocabulary, self._seed = batches, writer, vocabulary, seed

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Lesson:
        pictures = self._batches[step]
        rng = np.random.default_rng((self._seed, step, 1))
        frames, height, width, _ = pictures[0].frames.shape
        grid = ((frames + 1) // 2, height // PATCH_PX, width // PATCH_PX)
        tokens = grid[0] * grid[1] * grid[2] // MERGE**2
        prefix = self._writer.prefix(frames > 1, tokens)
        vision = slice(len(prefix) - 1 - tokens, len(prefix) - 1)
        branches = [self._writer.branches(picture, rng) for picture in pictures]
        return Lesson(pictures, forest(prefix, vision, grid, branches, self._vocabulary))
