"""What a checkpoint is worth on photos that were never trained on: SRCC with raters, and order along ladders.

Looks at the direct score alone, by the dense path, so that it is quick enough to run during the training:
`python -m training.evaluate --data ../shared/data --checkpoint checkpoints/nano`.
What the programs serve (all forms, digits in full) is measured through the gateway by evaluation/.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.form import Literal
from assay.prompt import answer_form, question
from training import degrade, photos
from training.degrade import Degradation, Pixels
from training.loop import quicker_dtype
from training.served import served
from training.tower import dense_tower, normalised
from training.tree import vision_positions

LADDERS: Mapping[str, Sequence[float]] = {
    "blur": (1, 2, 3, 5, 8),
    "underexpose": (1, 2, 3, 4, 5),
    "overexpose": (0.5, 1, 1.5, 2, 3),
    "desaturate": (0.8, 0.6, 0.4, 0.2, 0),
    "jpeg": (60, 40, 20, 10, 5),
}
"""Amounts after the untouched photo, in degrade.Degradation's units: the ladders of evaluation/ladder.py."""


class Judge:
    """Direct scores of pictures, in batches of one size."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, tokenizer: Tokenizer, checkpoint: ModelSpec) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._dtype = quicker_dtype(model.device)
        literal = next(iter(answer_form(checkpoint, "direct")))
        assert isinstance(literal, Literal)
        asked = question(checkpoint, "direct", is_video=False)
        begun = literal.text + checkpoint.form["direct"].score_lead
        self._before = self._ids("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")
        self._before += self._ids("<|vision_start|>")
        self._after = self._ids(f"<|vision_end|>{asked}<|im_end|>\n<|im_start|>assistant\n")
        self._after += self._ids(literal.text) + self._ids(checkpoint.form["direct"].score_lead)
        self._digits = [self._ids(str(digit))[0] for digit in range(10)]
        assert begun

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @torch.inference_mode()
    def scores(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """Expected score of each (height, width, 3) picture of one size: first digit plus one half."""
        with torch.autocast("cpu", self._dtype, enabled=self._dtype is not torch.float32):
            vision = dense_tower(self._model.model.visual, normalised(torch.from_numpy(np.stack(pictures))))
        height, width = pictures[0].shape[0] // 14, pictures[0].shape[1] // 14
        embed = self._model.model.language_model.embed_tokens
        batch = len(pictures)
        before = embed(torch.tensor(self._before)).expand(batch, -1, -1)
        after = embed(torch.tensor(self._after)).expand(batch, -1, -1)
        start = len(self._before)
        behind = start + max(height, width) // 2
        positions = torch.cat(
            [
                torch.arange(start).expand(3, -1),
                vision_positions(start, (1, height, width), 2),
                torch.arange(behind, behind + len(self._after)).expand(3, -1),
            ],
            dim=1,
        )
        hidden = self._model.model.language_model(
            inputs_embeds=torch.cat([before, vision.float(), after], dim=1),
            position_ids=positions.unsqueeze(1).expand(-1, batch, -1),
            use_cache=False,
        ).last_hidden_state[:, -1]
        shares = self._model.lm_head(hidden)[:, self._digits].double().softmax(-1)
        return np.asarray(shares.numpy() @ (np.arange(10) + 0.5))


def rated_correlations(
    judge: Judge, held_out: Sequence[photos.Photo], checkpoint: ModelSpec, batch: int = 32
) -> dict[str, float]:
    """SRCC of the direct score with the raters' two means."""
    scores = np.concatenate(
        [
            judge.scores([served(photo.decode(), checkpoint.pixels) for photo in held_out[i : i + batch]])
            for i in range(0, len(held_out), batch)
        ]
    )
    return {
        "aesthetic": float(spearmanr(scores, [photo.mos for photo in held_out]).statistic),
        "quality": float(spearmanr(scores, [photo.quality for photo in held_out]).statistic),
    }


def ladder_correlations(judge: Judge, held_out: Sequence[photos.Photo], checkpoint: ModelSpec) -> dict[str, float]:
    """Kind -> Spearman of falling score with the step, per photo, averaged."""
    found: dict[str, list[float]] = {kind: [] for kind in LADDERS}
    rng = np.random.default_rng(0)
    for photo in held_out:
        pixels = photo.decode()
        for kind, amounts in LADDERS.items():
            steps = [pixels, *(degrade.degraded(pixels, Degradation(kind, each), rng) for each in amounts)]
            scores = judge.scores([served(step, checkpoint.pixels) for step in steps])
            found[kind].append(float(spearmanr(scores, -np.arange(len(steps))).statistic))
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def load(directory: Path) -> tuple[Judge, ModelSpec]:
    """A judge over a checkpoint directory."""
    checkpoint = read_checkpoint(directory)
    model = Qwen2VLForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)
    model.train(False)
    return Judge(model, Tokenizer.from_file(str(directory / "tokenizer.json")), checkpoint), checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--most", type=int, default=10_000, help="photos of each source")
    options = parser.parse_args()
    judge, checkpoint = load(options.checkpoint)
    _, para = photos.split(photos.para_photos(options.data))
    _, sharp = photos.split(photos.open_photos(options.data))
    began = time.time()
    for name, value in rated_correlations(judge, para[: options.most], checkpoint).items():
        print(f"SRCC {name} (held-out PARA, {len(para[: options.most])} photos, direct): {value:.3f}", flush=True)
    for source, held_out in (("open", sharp[: options.most // 10]), ("PARA", para[: options.most // 20])):
        for name, value in ladder_correlations(judge, held_out, checkpoint).items():
            print(f"ladder {name} (held-out {source}, {len(held_out)} photos): {value:.3f}", flush=True)
    print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
