"""The held-out photos as files: the rule is training's, and nothing ends up where git would take it."""

import csv
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from evaluation.__main__ import main
from evaluation.tasks.held_out import would_be_committed
from training.photos import is_held_out

NAMES = [f"para/photo{number}.webp" for number in range(40)]
OPEN = [f"open/{number:04}.webp" for number in range(20)]
NATIVE = [f"flive/{number:04}.webp" for number in range(20)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "WEBP")
    for archive, names in (("para-train-0.tar", NAMES), ("open-photos.tar", OPEN), ("flive-train.tar", NATIVE)):
        with tarfile.open(folder / archive, "w") as tar:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = len(buffer.getvalue())
                tar.addfile(member, io.BytesIO(buffer.getvalue()))
    rows = "".join(f"para-train-0.tar,{name},{1 + place / 10},{2 + place / 20}\n" for place, name in enumerate(NAMES))
    (folder / "para-train.csv").write_text("shard,file,mos,quality\n" + rows)
    (folder / "flive-train.csv").write_text("file,mos\n" + "".join(f"{name},70\n" for name in NATIVE))
    return folder


def test_the_manifest_names_the_held_out_photos_and_no_other(data: Path, tmp_path: Path) -> None:
    main(["held-out", "--data", str(data), "--out", str(tmp_path / "out")])
    with (tmp_path / "out" / "manifest.csv").open() as table:
        files = [row["file"] for row in csv.DictReader(table)]
    assert files == [name for name in NAMES if is_held_out(name, "rated")]


def test_the_labels_are_those_of_the_table(data: Path, tmp_path: Path) -> None:
    main(["held-out", "--data", str(data), "--out", str(tmp_path / "out")])
    with (tmp_path / "out" / "manifest.csv").open() as table:
        row = next(csv.DictReader(table))
    place = NAMES.index(row["file"])
    assert (float(row["mos"]), float(row["quality"])) == (1 + place / 10, 2 + place / 20)


def test_the_files_lie_where_the_manifest_says(data: Path, tmp_path: Path) -> None:
    main(["held-out", "--data", str(data), "--out", str(tmp_path / "out")])
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.webp")}
    sources = {"rated": NAMES, "open": OPEN, "native": NATIVE}
    assert found == {name for source, names in sources.items() for name in names if is_held_out(name, source)}


def test_photos_at_native_size_have_a_manifest_of_their_own(data: Path, tmp_path: Path) -> None:
    main(["held-out", "--data", str(data), "--out", str(tmp_path / "out")])
    with (tmp_path / "out" / "native.csv").open() as table:
        files = [row["file"] for row in csv.DictReader(table)]
    assert files == [name for name in NATIVE if is_held_out(name, "native")]


def test_a_folder_that_git_would_take_up_is_refused(data: Path) -> None:
    into = Path(__file__).parents[3] / "held_out_photos"
    assert main(["held-out", "--data", str(data), "--out", str(into)]) == 2
    assert not into.exists()


def test_a_folder_that_git_ignores_is_fine() -> None:
    assert not would_be_committed(Path(__file__).parents[3] / "runs" / "held_out")


def test_data_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["held-out", "--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "para-train.csv" in capsys.readouterr().err
