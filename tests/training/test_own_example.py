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


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What stands on stderr when the command refuses."""
    assert own_example.main(arguments) == 2
    return capsys.readouterr().err


def test_any_folder_of_pictures_will_do(tmp_path: Path) -> None:
    photos = tmp_path / "photos" / "deeper"
    photos.mkdir(parents=True)
    for number in range(7):
        Image.new("RGB", (64, 48), (30 * number, 90, 40)).save(photos / f"{number}.png")
    (photos / "notes.txt").write_text("no picture")
    (photos / "damaged.jpg").write_bytes(b"no picture either")
    assert own_example.main(["--photos", str(tmp_path / "photos"), "--out", str(tmp_path / "example")]) == 0
    assert len(read_table(tmp_path / "example" / "ratings.csv", 1, 5)) == 21


def test_where_the_open_photos_are_not_the_way_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = printed(capsys, "--data", str(tmp_path), "--out", str(tmp_path / "example"))
    assert words.startswith(f"{tmp_path}/open-photos.tar is not there")
    assert "--photos" in words


def test_an_archive_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "open-photos.tar").write_bytes(b"nothing of the kind")
    assert "cannot be read" in printed(capsys, "--data", str(tmp_path), "--out", str(tmp_path / "example"))


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_pictures_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "empty").mkdir()
    assert str(tmp_path / name) in printed(capsys, "--photos", str(tmp_path / name), "--out", str(tmp_path / "example"))
    assert not (tmp_path / "example").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    example_folder(tmp_path / "photos", photos=7)
    assert "taken cannot be written" in printed(
        capsys, "--data", str(tmp_path / "photos"), "--out", str(tmp_path / "taken")
    )
