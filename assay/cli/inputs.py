"""Inputs: the paths of a command line -> the files to score."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.client import Source

STDIN = "-"
# Used for directories only: a file that is named is sent whatever it is called.
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")
_VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".vob", ".ts", ".m2ts", ".mts", ".flv", ".wmv"),
    ".3gp",
)


@dataclass(frozen=True, slots=True)
class Input:
    """One file to score."""

    name: str
    """As it was given, or below the directory that was given."""
    problem: str = ""
    """Why there is nothing to send; empty if there is."""

    def source(self) -> Source:
        return sys.stdin.buffer if self.name == STDIN else self.name


def inputs_of(paths: Sequence[str]) -> list[Input]:
    """The files that the paths stand for, in order; a directory stands for the pictures and videos below it."""
    return [each for path in paths for each in _inputs_of(path)]


def _inputs_of(path: str) -> Iterator[Input]:
    if path == STDIN or not os.path.isdir(path):
        yield Input(path)
        return
    found = [Input(name) for name in _media_below(Path(path))]
    yield from found or [Input(path, "the directory holds no picture or video; name the files to send them anyway")]


def _media_below(directory: Path) -> Iterator[str]:
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            if name.lower().endswith(_PICTURES + _VIDEOS) and not name.startswith("."):
                yield os.path.join(parent, name)
