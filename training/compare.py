"""Which way of asking, and which expectation, agrees best with raters: chooses what stands in assay.toml under [score].

`python -m training.compare --data ../shared/data --checkpoint checkpoints/nano --most 300` writes every answer in full
with the engine that serves it, on held-out PARA photos. A ladder report through the gateway is evaluation/'s matter.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from assay.checkpoint import Checkpoint, FormName, read_checkpoint
from assay.digits import READINGS
from assay.engine import Engine
from assay.frame import Clip, Frame
from assay.generator import Conversation, Counted
from assay.prompt import answer_form, question
from training import photos
from training.served import served

_AT_ONCE = 4
Numbers = NDArray[np.float64]


async def counted(engine: Engine, checkpoint: Checkpoint, photo: photos.Photo, form_name: FormName) -> Counted:
    """The score of one photo as the engine writes it."""
    clip = Clip((Frame(served(photo.decode(), checkpoint.pixels)),), is_video=False)
    conversation = Conversation(question(checkpoint, form_name, is_video=False))
    found = [
        event
        async for event in engine.generate(clip, conversation, answer_form(checkpoint, form_name))
        if isinstance(event, Counted)
    ]
    return found[-1]


async def all_counted(
    engine: Engine, checkpoint: Checkpoint, held_out: Sequence[photos.Photo], form_name: FormName
) -> list[Counted]:
    """The scores of all photos, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(photo: photos.Photo) -> Counted:
        async with gate:
            return await counted(engine, checkpoint, photo, form_name)

    return await asyncio.gather(*(one(photo) for photo in held_out))


def correlation(scores: Numbers, means: Numbers) -> float:
    """SRCC."""
    return float(spearmanr(scores, means).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--most", type=int, default=300, help="photos")
    options = parser.parse_args()
    checkpoint = read_checkpoint(options.checkpoint)
    engine = Engine.load(options.checkpoint, max_in_flight=_AT_ONCE, threads=2)
    _, held_out = photos.split(photos.para_photos(options.data))
    held_out = held_out[: options.most]
    means = np.array([photo.mos for photo in held_out], np.float64)
    whole: dict[str, Numbers] = {}
    for form_name in checkpoint.form:
        answers = asyncio.run(all_counted(engine, checkpoint, held_out, form_name))
        for reading, expect in READINGS.items():
            scores = np.array([expect(answer)[0] for answer in answers])
            print(f"{form_name} {reading}: SRCC {correlation(scores, means):.3f}, n {len(scores)}", flush=True)
            if reading == "whole":
                whole[form_name] = scores
    for reasoned in ("regular", "natural"):
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            mixed = share * whole["direct"] + (1 - share) * whole[reasoned]
            print(f"direct_weight {share} with {reasoned}: SRCC {correlation(mixed, means):.3f}", flush=True)


if __name__ == "__main__":
    main()
