"""The loop trains every part of the model and can be taken up again."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.batches import Batches, BatchShape, Rated
from training.head import Head
from training.lessons import Lessons
from training.loop import train
from training.model import new_model
from training.photos import Photo
from training.rows import Writer
from training.schedule import Schedule


def noise_photo(seed: int) -> Photo:
    pixels = np.random.default_rng(seed).integers(0, 255, (56, 56, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Photo(f"{seed}.png", "rated", file.getvalue(), 3.0, 3.0)


@pytest.mark.slow
def test_three_seconds_move_every_part_of_the_model(writer: Writer, tokenizer_file: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = new_model(tokenizer_file, tower_depth=1, width=128, layers=1, feed_forward=128)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rated = [Rated(noise_photo(row), row, 3.0, 3.0) for row in range(4)]
    batches = Batches(rated, 10, 0, (BatchShape("rated", 56, 56, 4, 1.0),))
    now, means = time.time(), list[torch.nn.Module]()
    schedule = Schedule(now - 60, now + 600, tower_rate=1e-2, merger_rate=1e-2, language_rate=1e-2)
    train(
        model=model,
        head=Head(128),
        lessons=Lessons(batches, writer, model.lm_head.out_features, 0),
        digits=torch.tensor(writer.digits),
        schedule=schedule,
        state_file=tmp_path / "state.pt",
        at_times=means.append,
        save_every_steps=1,
        until=now + 3,
    )
    unmoved = [name for name, tensor in model.state_dict().items() if torch.equal(tensor, before[name])]
    assert unmoved == []
    assert means[-1].state_dict().keys() == before.keys()


def test_of_most_photos_as_they_are_the_score_alone_is_asked(writer: Writer) -> None:
    batches = Batches(
        [Rated(noise_photo(0), 0, 3.0, 3.0)], 40, 0, (BatchShape("rated", 56, 56, 1, 1.0, is_plain=True),)
    )
    lessons = Lessons(batches, writer, 4000, 0)
    scored = [lessons[step].forest.digits.shape[1] for step in range(40)]
    assert 20 < scored.count(1) < 40
