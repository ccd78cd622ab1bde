"""Manifests: what is read, and what every defect is reported as."""

from pathlib import Path

import pytest

from data.manifest import read_manifest
from data.tables import BadDataSet


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_text(text)
    return path


def test_files_lie_next_to_the_manifest(tmp_path: Path) -> None:
    assert read_manifest(written(tmp_path, "file,mos\na.jpg,3.5\n"))[0].path == tmp_path / "a.jpg"


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    assert read_manifest(written(tmp_path, "file,mos\na.jpg,3.5\n"), Path("/data"))[0].path == Path("/data/a.jpg")


def test_further_columns_are_ignored(tmp_path: Path) -> None:
    rows = read_manifest(written(tmp_path, "shard,file,mos,quality\n0,a.jpg,3.5,2\n"))
    assert (rows[0].file, rows[0].mos) == ("a.jpg", 3.5)


def test_another_column_may_hold_the_label(tmp_path: Path) -> None:
    rows = read_manifest(written(tmp_path, "file,mos,quality\na.jpg,3.5,2\n"), mos_column="quality")
    assert rows[0].mos == 2.0


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    assert len(read_manifest(written(tmp_path, "\ufefffile,mos\na.jpg,3.5\n"))) == 1


def test_a_missing_file_is_still_a_row(tmp_path: Path) -> None:
    assert len(read_manifest(written(tmp_path, "file,mos\nnowhere.jpg,1\n"))) == 1


DEFECTS = {
    "no_mos_column": ("file,score\na.jpg,1\n", r"has no column 'mos'; it has file, score"),
    "no_file_column": ("path,mos\na.jpg,1\n", r"has no column 'file'; it has path, mos"),
    "empty": ("", r"has no column 'file'; it has none"),
    "no_rows": ("file,mos\n", r"has no rows"),
    "words_for_mos": ("file,mos\na.jpg,1\nb.jpg,good\n", r"line 3: mos is 'good', not a number"),
    "nan_for_mos": ("file,mos\na.jpg,nan\n", r"line 2: mos is 'nan', not a number"),
    "short_row": ("file,mos\na.jpg\n", r"line 2 has 1 cells, and the header has 2"),
    "no_file": ("file,mos\n,3\n", r"line 2: file is empty"),
    "words_behind_an_empty_line": ("file,mos\na.jpg,1\n\nb.jpg,good\n", r"line 4: mos is 'good'"),
    "file_twice": ("file,mos\na.jpg,1\na.jpg,2\n", r"names a\.jpg twice"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_named(name: str, tmp_path: Path) -> None:
    text, sentence = DEFECTS[name]
    with pytest.raises(BadDataSet, match=sentence):
        read_manifest(written(tmp_path, text))


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataSet, match=r"nowhere\.csv cannot be read: No such file"):
        read_manifest(tmp_path / "nowhere.csv")


def test_a_manifest_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.csv"
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(BadDataSet, match="is not a CSV file in UTF-8"):
        read_manifest(path)
