"""Self-labelling: what the stage-1 model says of each photo as it is, where nobody graded it and nothing was done.

Stage 2 then trains on these places instead of those made from the density of edges (labels.Made.content).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Qwen2VLForConditionalGeneration

from assay.checkpoint import ModelSpec
from assay.form import Choice
from training import labels, stage1, teacher
from training.batches import Picture, Rated
from training.forward import answer_logits, vision_tokens
from training.framing import served
from training.labels import CONTENT, Made
from training.lessons import laid_out
from training.loop import quicker_dtype
from training.rows import Branch, Writer
from training.tree import Forest

_BATCH = 24


def self_labelled(
    model: Qwen2VLForConditionalGeneration,
    writer: Writer,
    checkpoint: ModelSpec,
    rated: Sequence[Rated],
    most: int,
    cache: Path,
) -> list[Rated]:
    """The same photos, `most` of them (evenly drawn) with the model's places of labels.CONTENT in addition to people's.

    What was asked already is read from `cache`.
    """
    chosen = [rated[i] for i in np.unique(np.linspace(0, len(rated) - 1, min(most, len(rated))).round().astype(int))]
    if not cache.exists():
        rows = np.array([each.row for each in chosen])
        teacher.save(cache, rows=rows, places=_places(model, writer, checkpoint, chosen))
    with np.load(cache) as cached:
        labelled = {
            int(row): dict(zip(CONTENT, map(float, places), strict=True))
            for row, places in zip(cached["rows"], cached["places"], strict=True)
        }
    # What somebody graded stays.
    return [replace(each, content={**labelled.get(each.row, {}), **each.content}) for each in rated]


@torch.inference_mode()
def _places(
    model: Qwen2VLForConditionalGeneration, writer: Writer, checkpoint: ModelSpec, rated: Sequence[Rated]
) -> NDArray[np.float32]:
    """(photos, len(CONTENT)) float32, places as in labels.Truth."""
    found = np.zeros((len(rated), len(CONTENT)), np.float32)
    options = {name: _first_tokens(writer, checkpoint, name) for name in CONTENT}
    dtype = quicker_dtype(model.device)
    done = 0
    for places, pictures in _batches(rated, checkpoint):
        rng = np.random.default_rng(places[0])
        branches = [[writer.attribute_branch(picture, name, rng) for name in CONTENT] for picture in pictures]
        trees = laid_out(pictures[0], branches, writer, model.lm_head.out_features).to(model.device)
        with torch.autocast(model.device.type, dtype, enabled=dtype is not torch.float32):
            logits = answer_logits(model, vision_tokens(model, pictures), trees).float().cpu()
        for row, target in _choice_targets(trees, branches):
            for column, name in enumerate(CONTENT):
                shares = logits[target[name]][options[name]].softmax(-1).numpy()
                found[places[row], column] = shares @ (np.arange(len(shares)) + 0.5)
        done += len(places)
        if done % (20 * _BATCH) < len(places):
            print(f"self-labelled {done}/{len(rated)}", flush=True)
    return found


def _batches(rated: Sequence[Rated], checkpoint: ModelSpec) -> Iterator[tuple[list[int], list[Picture]]]:
    """(places in `rated`, pictures of one size as they are served)."""
    waiting: dict[tuple[int, ...], tuple[list[int], list[Picture]]] = {}
    for place, each in enumerate(rated):
        pixels = each.photo.decode()
        made, statistics = Made(each.mos, each.quality), labels.pixel_statistics(pixels)
        shown = served(pixels, checkpoint.pixels)[None]
        places, pictures = waiting.setdefault(shown.shape, ([], []))
        places.append(place)
        pictures.append(Picture(shown, labels.truth(made, statistics), each.row, "", made, statistics))
        if len(places) == _BATCH:
            yield waiting.pop(shown.shape)
    yield from waiting.values()


def _first_tokens(writer: Writer, checkpoint: ModelSpec, name: str) -> list[int]:
    """The first token of each grade. ValueError if two grades begin alike: one look would not tell them apart."""
    choice = next(s for s in stage1.answer(checkpoint, name) if isinstance(s, Choice) and s.name == name)
    first = [writer.tokens(option)[0] for option in choice.options]
    if len(set(first)) < len(first):
        raise ValueError(f"grades of {name} that begin with the same token cannot be self-labelled: {choice.options}")
    return first


def _choice_targets(trees: Forest, branches: Sequence[Sequence[Branch]]) -> Iterator[tuple[int, dict[str, int]]]:
    """(tree, attribute -> index of the target at which its grade begins)."""
    targets = {place: index for index, place in enumerate(zip(trees.rows.tolist(), trees.places.tolist(), strict=True))}
    prefix = trees.vision.stop + 1
    for row, several in enumerate(branches):
        start, found = prefix, {}
        for branch in several:
            for name, place in branch.choices:
                found[name] = targets[row, start + place - 1]
            start += len(branch.ids)
        yield row, found
