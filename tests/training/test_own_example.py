"""The example's folder is one that training/own.py can read."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import own_example
from training.rated_folder import photos_of, read_table


def example_folder(out: Path, photos: int) -> Path:
    """ratings.csv and three files a photo, made of an archive of coloured noise."""
    out.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with tarfile.open(out / "open-photos.tar", "w") as archive:
        for number in range(photos):
            coarse = rng.integers(0, 255, (12, 16, 3), np.uint8)
            file = io.BytesIO()
            Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(file, "PNG")
            member = tarfile.TarInfo(f"{number}.png")
            member.size = len(file.getvalue())
            archive.addfile(member, io.BytesIO(file.getvalue()))
    own_example.main(["--data", str(out), "--out", str(out)])
    return out / "ratings.csv"


def test_every_photo_stands_there_whole_and_twice_damaged(tmp_path: Path) -> None:
    lines = read_table(example_folder(tmp_path / "photos", photos=8), 1, 5)
    assert (len(lines), len(photos_of(lines, tmp_path / "photos"))) == (24, 24)


@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_copy_is_rated_no_better(tmp_path: Path, number: int) -> None:
    lines = read_table(example_folder(tmp_path / "photos", photos=8), 1, 5)
    assert all(lines[first].mos >= lines[first + number].mos for first in range(0, 24, 3))
