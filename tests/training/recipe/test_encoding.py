import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.tokenizer import TextTokenizer
from tests.training.recipe.conftest import Set, settings
from training.recipe.encoding import Encoder, batch_of
from training.recipe.example import example_of
from training.recipe.picture import read_picture, shrunk
from training.recipe.settings import PictureSettings


@pytest.fixture
def encoder(base: Path) -> Encoder:
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text()))
    return Encoder(TextTokenizer.read(base / "tokenizer.json"), layout, settings().pictures, 512)


def test_only_the_answer_weighs_in_the_loss(encoder: Encoder, pictures: Set) -> None:
    rows = [encoder.example(example_of(row)) for row in pictures.scored[:2]]
    batch = batch_of(rows, encoder.text.special.image_pad, encoder.text.special.im_end)
    weighing = [ids[weights > 0].tolist() for ids, weights in zip(batch.ids, batch.weights, strict=True)]
    texts = [b"".join(map(encoder.text.bytes_of, ids)).decode() for ids in weighing]
    assert texts == [row.answer for row in pictures.scored[:2]]


def test_the_end_of_the_turn_weighs_once(encoder: Encoder, pictures: Set) -> None:
    rows = [encoder.example(example_of(row)) for row in pictures.scored[:2]]
    batch = batch_of(rows, encoder.text.special.image_pad, encoder.text.special.im_end)
    is_end = (batch.ids == encoder.text.special.im_end) & (batch.weights > 0)
    assert is_end.sum(1).tolist() == [1, 1]


def test_every_segment_has_its_own_weight(encoder: Encoder, pictures: Set) -> None:
    example = example_of(pictures.scored[1])
    before, label, after = example.answer
    row = encoder.example(replace(example, answer=(replace(before, weight=0.5), label, after)))
    digits = list(row.digit_places)
    assert row.weights[digits].tolist() == [1.0] * len(digits)
    assert row.weights[digits[0] - 1] == 0.5


def test_what_fills_up_a_step_weighs_nothing(encoder: Encoder, pictures: Set) -> None:
    row = encoder.example(example_of(pictures.scored[1])).without_weight()
    assert (float(row.weights.sum()), row.score, row.digit_places) == (0.0, None, ())


def test_digit_places_hold_the_label(encoder: Encoder, pictures: Set) -> None:
    row = encoder.example(example_of(pictures.scored[1]))
    assert [encoder.text.digits.index(int(row.ids[place])) for place in row.digit_places] == [2, 3, 1]


def test_the_question_ends_in_front_of_the_end_of_its_turn(encoder: Encoder, pictures: Set) -> None:
    row = encoder.example(example_of(pictures.scored[0]))
    assert row.ids[row.question_end + 1] == encoder.text.special.im_end


def test_a_row_longer_than_the_cutoff_is_refused_by_name(encoder: Encoder, pictures: Set) -> None:
    short = Encoder(encoder.text, encoder.layout, encoder.pictures, 20)
    with pytest.raises(ValueError, match=r"0.png.*cutoff of 20"):
        short.example(example_of(pictures.scored[0]))


def test_the_authors_path_shrinks_without_a_filter() -> None:
    board = np.indices((1024, 1024)).sum(0) % 2 * 255
    assert set(np.unique(np.asarray(shrunk(Image.fromarray(board.astype(np.uint8)), 512)))) <= {0, 255}


def test_the_two_paths_see_different_pixels(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    first, straight = (
        read_picture(tmp_path / "a.png", PictureSettings(shrink_first=shrink)).stacked() for shrink in (True, False)
    )
    assert not np.array_equal(first, straight)
