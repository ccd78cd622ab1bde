"""A table of ratings is read strictly: what is wrong with it is named, with its line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.tables import BadDataSet
from training.rated_folder import photos_of, read_table


def table(tmp_path: Path, head: str = "file,mos", lines: int = 24, last: str = "") -> Path:
    empty = "," * (head.count(",") - 1)
    rows = [f"{number}.png,{1 + number % 5}{empty}" for number in range(lines)]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join([head, *rows, *([last] if last else [])]), encoding="utf-8")
    return path


def test_the_scale_is_brought_to_one_to_five(tmp_path: Path) -> None:
    assert [line.mos for line in read_table(table(tmp_path), 1, 9)][:5] == [1.0, 1.5, 2.0, 2.5, 3.0]


def test_quality_is_the_mos_where_it_is_not_given(tmp_path: Path) -> None:
    assert all(line.quality == line.mos for line in read_table(table(tmp_path), 1, 5))


@pytest.mark.parametrize(
    ("head", "last", "named"),
    [
        ("file,score", "", "'mos'"),
        ("file,mos,taste", "x.png,3,4", "taste"),
        ("file,mos", "x.png,7", "line 26: mos is '7', not a number from 1 to 5"),
        ("file,mos", "x.png,good", "line 26: mos is 'good', not a number"),
        ("file,mos", ",3", "line 26: file is empty"),
        ("file,mos", "3.png,3", "3.png more than once"),
        ("file,mos,clarity", "x.png,3,sharp", "clarity is 'sharp'; its grades are very blurry"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, head: str, last: str, named: str) -> None:
    with pytest.raises(BadDataSet, match=named):
        read_table(table(tmp_path, head, last=last), 1, 5)


def test_a_handful_of_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataSet, match="has 5 photos; 20 are the least"):
        read_table(table(tmp_path, lines=5), 1, 5)


def test_a_grade_in_words_is_a_place_in_its_middle(tmp_path: Path) -> None:
    lines = read_table(table(tmp_path, "file,mos,clarity,composition", last="x.png,3,very clear,7"), 1, 5)
    assert lines[-1].places == {"clarity": 3.5, "composition": 7.0}


def test_every_file_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(BadDataSet, match=r"23 files .* 1\.png .*; 2\.png"):
        photos_of(read_table(table(tmp_path), 1, 5), tmp_path)
