"""Rated folder: a table of one's own photos (file, mos, and any attribute) becomes photos to train on."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from assay.attribute import KINDS
from training import pieces, teacher
from training.batches import Rated
from training.labels import CONTENT
from training.lite0 import Lite0
from training.photos import Photo
from training.rated import Gallery
from training.taps import Taps

GRADED = tuple(name for name, kind in KINDS.items() if kind.is_graded)
COLUMNS = ("file", "mos", "quality", *GRADED)
LEAST_PHOTOS = 20
_LONGEST_SIDE_PX = 720
"""More than the model ever takes, with room for crops; a folder of camera files would not fit into memory."""


class BadTable(ValueError):
    """The table cannot be trained on; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One photo and what people said of it."""

    file: str
    mos: float
    """1..5, whatever the scale of the table."""
    quality: float
    """1..5."""
    places: Mapping[str, float]
    """Attribute -> place as in labels.Truth."""


def read_table(table: Path, lowest: float, highest: float) -> list[Line]:
    """The lines in order. BadTable names the line and the value that is missing, strange or outside of the scale."""
    if not lowest < highest:
        raise BadTable(f"the scale must rise, got {lowest:g} to {highest:g}")
    try:
        with table.open(newline="", encoding="utf-8-sig") as rows:
            reader = csv.DictReader(rows)
            _check_columns(table, reader.fieldnames or ())
            lines = [_line(f"{table}, line {reader.line_num}", row, lowest, highest) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as unreadable:
        raise BadTable(f"{table} cannot be read as a CSV file: {unreadable}") from unreadable
    twice = sorted({line.file for line in lines if sum(other.file == line.file for other in lines) > 1})
    if twice:
        raise BadTable(f"{table} names {', '.join(twice[:3])} more than once")
    if len(lines) < LEAST_PHOTOS:
        raise BadTable(
            f"{table} has {len(lines)} photos; {LEAST_PHOTOS} are the least, some hundreds begin to be useful"
        )
    return lines


def _check_columns(table: Path, columns: Sequence[str]) -> None:
    for wanted in ("file", "mos"):
        if wanted not in columns:
            raise BadTable(f"{table} has no column {wanted!r}; it has {', '.join(columns) or 'none'}")
    strange = [column for column in columns if column not in COLUMNS]
    if strange:
        raise BadTable(f"{table} has columns {', '.join(strange)}; known are {', '.join(COLUMNS)}")


def _line(where: str, row: Mapping[str, str | None], lowest: float, highest: float) -> Line:
    def on_scale(column: str) -> float:
        text = row.get(column) or ""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not lowest <= number <= highest:
            raise BadTable(f"{where}: {column} is {text!r}, not a number from {lowest:g} to {highest:g} (see --scale)")
        return 1 + 4 * (number - lowest) / (highest - lowest)

    if not row["file"]:
        raise BadTable(f"{where}: the file is missing")
    mos = on_scale("mos")
    quality = on_scale("quality") if row.get("quality") else mos
    places = {name: _place(where, name, text) for name in GRADED if (text := (row.get(name) or "").strip())}
    return Line(row["file"], mos, quality, places)


def _place(where: str, name: str, grade: str) -> float:
    grades = KINDS[name].grades
    if grade not in grades:
        raise BadTable(f"{where}: {name} is {grade!r}; its grades are {', '.join(grades)}")
    # Grades of 1..10 are their own place, words stand in the middle of theirs (labels.Truth).
    return float(grade) if grades[0] == "1" else grades.index(grade) + 0.5


def photos_of(lines: Sequence[Line], root: Path) -> list[Photo]:
    """Every photo, brought down to at most 720 px. BadTable names all that cannot be decoded (ten at most)."""
    found, bad = [], []
    for line in lines:
        try:
            found.append(Photo(line.file, "rated", _encoded(root / line.file), line.mos, line.quality))
        except OSError as damaged:
            bad.append(f"{line.file} ({damaged.strerror or damaged})")
    if bad:
        raise BadTable(f"{len(bad)} files below {root} cannot be decoded: {'; '.join(bad[:10])}")
    return found


def _encoded(path: Path) -> bytes:
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    upright.save(file, "PNG", compress_level=1)
    return file.getvalue()


def gallery_of(lines: Sequence[Line], photos: Sequence[Photo], runs: Path) -> Gallery:
    """What training/rated.py makes of PARA, of these photos: the teacher looks at them once (cached in runs)."""
    cache = runs / "teacher.npz"
    names = [photo.file for photo in photos]
    if not cache.exists():
        features, logits = teacher.look(photos, Taps(Lite0(pieces.fetch(pieces.LITE0, runs / "pieces"))))
        teacher.save(cache, features=features, logits=logits, files=np.array(names))
    with np.load(cache) as cached:
        if cached["files"].tolist() != names:
            raise BadTable(f"{cache} was made from other photos; choose another --runs or remove it")
        rated = list(_rated(lines, photos))
        said = np.array([[each.mos, each.quality] for each in rated])
        judge = teacher.TapRegression([(cached["features"][[each.row for each in rated]], said, 1.0)], ranked=None)
        return Gallery(rated, cached["features"], cached["logits"], judge)


def _rated(lines: Sequence[Line], photos: Sequence[Photo]) -> Iterator[Rated]:
    for row, (line, photo) in enumerate(zip(lines, photos, strict=True)):
        if photo.is_held_out:
            continue
        content = {name: place for name, place in line.places.items() if name in CONTENT}
        graded = {name: place for name, place in line.places.items() if name not in CONTENT}
        yield Rated(photo, row, line.mos, line.quality, content, graded)
