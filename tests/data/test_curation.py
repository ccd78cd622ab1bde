import csv

import numpy as np
import pytest
from PIL import Image

from data import curation
from data.__main__ import main
from tests.data import curation_examples as examples

SEED, COUNT = 7, 6


@pytest.fixture(scope="module")
def skill():
    return examples.measure(SEED, COUNT)


@pytest.mark.parametrize("kind", examples.MADE)
def test_nearly_all_generated_examples_are_found(skill, kind):
    assert skill[kind].recall >= 0.9


@pytest.mark.parametrize("kind", examples.MADE)
def test_few_generated_pictures_are_flagged_wrongly(skill, kind):
    assert skill[kind].precision >= 0.85


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3), (8, 8)])
def test_a_picture_of_any_shape_has_statistics(shape):
    pixels = np.zeros((*shape, 3), np.uint8)
    assert set(curation.statistics(Image.fromarray(pixels)).values()) == {0.0}


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(curation.BadDataSet, match=r"a\.jpg is no picture"):
        curation.look(tmp_path / "a.jpg")


def test_the_command_lists_every_picture(tmp_path, capsys):
    examples.clean(0).save(tmp_path / "clean.png")
    examples.stitched(1).save(tmp_path / "stitched.png")
    main(["curate", str(tmp_path), "--out", str(tmp_path / "found.csv")])
    with (tmp_path / "found.csv").open() as text:
        assert {row["file"]: row["flags"] for row in csv.DictReader(text)} == {
            "clean.png": "",
            "stitched.png": "stitched",
        }
