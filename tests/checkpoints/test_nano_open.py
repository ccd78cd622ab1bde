"""The twin of nano that was taught by no rating: served as nano is, it tells a damaged photo from a sound one."""

import asyncio

import numpy as np
import pytest
from PIL import Image, ImageFilter

from assay.checkpoint import read_checkpoint
from assay.digits import score_from_digits
from assay.engine import Engine, EngineOptions
from assay.frame import Clip, Frame
from assay.generator import Conversation, NumberWritten
from assay.prompt import answer_form, question
from tests.checkpoints import NANO

TWIN = NANO.parent / "nano-open"
CHECKPOINT = read_checkpoint(TWIN)
PHOTO = NANO.parents[1] / "demo" / "photo.jpg"


@pytest.fixture(scope="module")
def engine():
    engine = Engine.load(TWIN, EngineOptions(threads=1, number_format="stored"))
    yield engine
    engine.close()


def scored(engine, picture: Image.Image) -> float:
    clip = Clip((Frame(np.asarray(picture.resize((392, 280)))),), is_video=False)

    async def written():
        asked = Conversation(question(CHECKPOINT, "direct", is_video=False))
        return [event async for event in engine.generate(clip, asked, answer_form(CHECKPOINT, "direct"))]

    [number] = [event for event in asyncio.run(written()) if isinstance(event, NumberWritten)]
    return score_from_digits(number, CHECKPOINT.scale, CHECKPOINT.score.expectation).value


def test_a_blurred_photo_scores_lower(engine):
    with Image.open(PHOTO) as photo:
        assert scored(engine, photo) - scored(engine, photo.filter(ImageFilter.GaussianBlur(6))) > 1.0


def test_it_answers_in_the_forms_of_nano():
    assert CHECKPOINT.form == read_checkpoint(NANO).form
