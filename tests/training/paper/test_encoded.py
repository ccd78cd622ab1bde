import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.engine.patches import PatchLayout
from assay.engine.text_tokens import TextTokens
from tests.training.paper.conftest import Set, settings
from training.paper.batch import IGNORED, batch_of
from training.paper.encoded import Encoder
from training.paper.picture import read_picture, shrunk
from training.paper.settings import PictureSettings


@pytest.fixture
def encoder(base: Path) -> Encoder:
    layout = PatchLayout.from_config(json.loads((base / "preprocessor_config.json").read_text()))
    return Encoder(TextTokens.read(base / "tokenizer.json"), layout, settings().pictures, 512)


def test_only_the_answer_weighs_in_the_loss(encoder: Encoder, pictures: Set) -> None:
    rows = [encoder.row(row) for row in pictures.scored[:2]]
    batch = batch_of(rows, encoder.text.special.image_pad, encoder.text.special.im_end)
    weighing = [b"".join(map(encoder.text.bytes_of, row[row != IGNORED].tolist())).decode() for row in batch.labels]
    assert weighing == [row.answer for row in pictures.scored[:2]]


def test_the_end_of_the_turn_weighs_once(encoder: Encoder, pictures: Set) -> None:
    rows = [encoder.row(row) for row in pictures.scored[:2]]
    batch = batch_of(rows, encoder.text.special.image_pad, encoder.text.special.im_end)
    assert (batch.labels == encoder.text.special.im_end).sum(1).tolist() == [1, 1]


def test_digit_places_hold_the_label(encoder: Encoder, pictures: Set) -> None:
    row = encoder.row(pictures.scored[1])
    assert [encoder.text.digits.index(int(row.ids[place])) for place in row.digit_places] == [2, 3, 1]


def test_the_question_ends_in_front_of_the_end_of_its_turn(encoder: Encoder, pictures: Set) -> None:
    row = encoder.row(pictures.scored[0])
    assert row.ids[row.question_end + 1] == encoder.text.special.im_end


def test_a_row_longer_than_the_cutoff_is_refused_by_name(encoder: Encoder, pictures: Set) -> None:
    short = Encoder(encoder.text, encoder.layout, encoder.pictures, 20)
    with pytest.raises(ValueError, match=r"0.png.*cutoff of 20"):
        short.row(pictures.scored[0])


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
