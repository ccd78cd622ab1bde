"""Encoding: examples as the ids that the model reads and how much each weighs; several of them as one batch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.generator import Conversation
from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.prompt_tokens import prompt_tokens
from assay.qwen2_vl.tokenizer import TextTokenizer
from training.recipe.example import REASONED_TASKS, TrainingExample
from training.recipe.picture import read_picture
from training.recipe.settings import PictureSettings


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One example, on the CPU."""

    ids: Tensor
    """(tokens,) int64: system, picture, question, answer, <|im_end|>."""
    weights: Tensor
    """(tokens,) float32: of each token in the loss; 0 up to the answer."""
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

    def without_weight(self) -> "Encoded":
        """The same to look at, and nothing to learn: fills up the last step of several processes."""
        return replace(self, weights=torch.zeros_like(self.weights), score=None, digit_places=())


@dataclass(frozen=True, slots=True)
class Encoder:
    """Examples to ids with the tokeniser and the patches that the engine serves with."""

    text: TextTokenizer
    layout: PatchLayout
    pictures: PictureSettings
    cutoff: int

    def example(self, example: TrainingExample) -> Encoded:
        """Question and answer. ValueError names an example longer than the cutoff."""
        prompt = self.question(example.path, example.question)
        answer: list[int] = []
        weights: list[float] = []
        digits: list[int] = []
        for part in example.answer:
            tokens = self.text.encode(part.text)
            if part.is_label:
                start = len(prompt.ids) + len(answer)
                digits += [start + place for place, token in enumerate(tokens) if token in self.text.digits]
            answer += tokens
            weights += [part.weight] * len(tokens)
        weights.append(example.answer[-1].weight)
        ids = torch.cat([prompt.ids, torch.tensor([*answer, self.text.special.im_end])])
        if len(ids) > self.cutoff:
            raise ValueError(
                f"{example.path.name}, task {example.task!r}: {len(ids)} tokens, more than the cutoff of "
                f"{self.cutoff}; raise optimiser.cutoff, or lower pictures.max_pixels"
            )
        return replace(
            prompt,
            ids=ids,
            weights=torch.cat([prompt.weights, torch.tensor(weights)]),
            task=example.task,
            score=example.score,
            digit_places=tuple(digits),
        )

    def question(self, path: Path, question: str) -> Encoded:
        """The question alone, up to where the answer would start."""
        side = self.layout.patch_size * self.layout.merge_size
        clip = read_picture(path, self.pictures, side)
        prompt = prompt_tokens(clip, Conversation(question), self.layout, self.text)
        # The user's turn ends with the last <|im_end|> of the prompt.
        end = max(place for place, token in enumerate(prompt.ids) if token == self.text.special.im_end)
        return Encoded(
            ids=torch.tensor(prompt.ids),
            weights=torch.zeros(len(prompt.ids)),
            question_end=end - 1,
            pixel_values=torch.from_numpy(prompt.clip.pixel_values),
            grid_thw=prompt.clip.grid_thw,
            task="",
            score=None,
            digit_places=(),
            name=path.name,
        )


@dataclass(frozen=True, slots=True, eq=False)
class EncodedBatch:
    """Encoded examples of different lengths, padded on the right."""

    ids: Tensor
    """(batch, length) int64."""
    attention_mask: Tensor
    """(batch, length) int64, 0 on padding."""
    token_types: Tensor
    """(batch, length) int32, 1 on a picture's placeholders: what transformers tells the rotary positions by."""
    weights: Tensor
    """(batch, length) float32: of each token in the loss, 0 on padding."""
    pixel_values: Tensor
    """(patches of all pictures, 1176) float32."""
    grid_thw: Tensor
    """(batch, 3) int64."""
    digit_places: Tensor
    """(batch, 3) int64, places of the label's digits, -1 where there is none."""
    scores: Tensor
    """(batch,) float32, NaN where there is no label."""
    reasoned: Tensor
    """(batch,) bool, True where reasoning stands in front of the label."""
    question_ends: Tensor
    """(batch,) int64."""
    names: tuple[str, ...]
    """Of the files, for complaints."""

    def to(self, device: torch.device | str) -> "EncodedBatch":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if torch.is_tensor(value)}
        return EncodedBatch(**(values | moved))

    def model_inputs(self) -> dict[str, Any]:
        """Arguments of Qwen2-VL's forward."""
        return {
            "input_ids": self.ids,
            "attention_mask": self.attention_mask,
            "mm_token_type_ids": self.token_types,
            "pixel_values": self.pixel_values,
            "image_grid_thw": self.grid_thw,
            "use_cache": False,
        }


def batch_of(rows: Sequence[Encoded], image_pad: int, padding: int) -> EncodedBatch:
    """image_pad, padding: token ids."""
    length = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), length), padding)
    mask = torch.zeros(len(rows), length, dtype=torch.long)
    weights = torch.zeros(len(rows), length)
    digits = torch.full((len(rows), 3), -1)
    for place, row in enumerate(rows):
        ids[place, : len(row.ids)] = row.ids
        mask[place, : len(row.ids)] = 1
        weights[place, : len(row.ids)] = row.weights
        digits[place, : len(row.digit_places)] = torch.tensor(row.digit_places, dtype=torch.long)
    return EncodedBatch(
        ids=ids,
        attention_mask=mask,
        token_types=((ids == image_pad) & (mask == 1)).int(),
        weights=weights,
        pixel_values=torch.cat([row.pixel_values for row in rows]),
        grid_thw=torch.tensor([row.grid_thw for row in rows]),
        digit_places=digits,
        scores=torch.tensor([float("nan") if row.score is None else row.score for row in rows]),
        reasoned=torch.tensor([row.task in REASONED_TASKS for row in rows]),
        question_ends=torch.tensor([row.question_end for row in rows]),
        names=tuple(row.name for row in rows),
    )
