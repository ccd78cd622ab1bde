"""assay/cli/inputs.py: the files that the paths of a command line stand for."""

import sys
from pathlib import Path

from assay.cli.inputs import STDIN, inputs_of


def names(*paths: Path | str) -> list[str]:
    return [each.name for each in inputs_of([str(path) for path in paths])]


def written(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")


def test_a_file_that_is_named_is_sent_whatever_it_is_called(tmp_path):
    written(tmp_path, "notes.txt")
    assert names(tmp_path / "notes.txt", "https://host/a") == [str(tmp_path / "notes.txt"), "https://host/a"]


def test_a_directory_stands_for_the_pictures_and_videos_below_it_in_order(tmp_path):
    written(tmp_path, "b.JPG", "a/c.mp4", "a/notes.txt", ".hidden.png", "a/b.heic")
    assert names(tmp_path) == [str(tmp_path / name) for name in ("b.JPG", "a/b.heic", "a/c.mp4")]


def test_a_directory_without_any_says_so(tmp_path):
    (only,) = inputs_of([str(tmp_path)])
    assert "no picture or video" in only.problem


def test_stdin_is_read_as_bytes(monkeypatch):
    (only,) = inputs_of([STDIN])
    assert only.source() is sys.stdin.buffer
