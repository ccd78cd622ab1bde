"""Rated folder: a table of one's own photos (file, mos, and any attribute) becomes photos to train on."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from assay.attribute import KINDS
from data.tables import BadDataSet, TableLine, csv_lines
from training import teacher
from training.batches import Rated
from training.labels import CONTENT
from training.photos import Photo
from training.rated import Gallery
from training.taps import Taps

GRADED = tuple(name for name, kind in KINDS.items() if kind.is_graded)
COLUMNS = ("file", "mos", "quality", *GRADED)
LEAST_PHOTOS = 20
_LONGEST_SIDE_PX = 720
"""More than the model ever takes, with room for crops; a folder of camera files would not fit into memory."""


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
    """The lines in order. BadDataSet names the line and the value that is missing, strange or outside of the scale."""
    if not lowest < highest:
        raise BadDataSet(f"the scale must rise, got {lowest:g} to {highest:g}")
    lines = [_line(row, lowest, highest) for row in csv_lines(table, ("file", "mos"))]
    twice = sorted({line.file for line in lines if sum(other.file == line.file for other in lines) > 1})
    if twice:
        raise BadDataSet(f"{table} names {', '.join(twice[:3])} more than once")
    if len(lines) < LEAST_PHOTOS:
        raise BadDataSet(
            f"{table} has {len(lines)} photos; {LEAST_PHOTOS} are the least, some hundreds begin to be useful"
        )
    return lines


def _line(row: TableLine, lowest: float, highest: float) -> Line:
    if strange := [column for column in row.cells if column not in COLUMNS]:
        raise BadDataSet(f"{row.where}: unknown columns {', '.join(strange)}; known are {', '.join(COLUMNS)}")

    def on_scale(column: str) -> float:
        number = row.number(column)
        if not lowest <= number <= highest:
            text = row.text(column)
            raise BadDataSet(
                f"{row.where}: {column} is {text!r}, not a number from {lowest:g} to {highest:g} (see --scale)"
            )
        return 1 + 4 * (number - lowest) / (highest - lowest)

    mos = on_scale("mos")
    quality = on_scale("quality") if row.cells.get("quality") else mos
    places = {name: _place(row.where, name, text) for name in GRADED if (text := row.cells.get(name, "").strip())}
    return Line(row.text("file"), mos, quality, places)


def _place(where: str, name: str, grade: str) -> float:
    grades = KINDS[name].grades
    if grade not in grades:
        raise BadDataSet(f"{where}: {name} is {grade!r}; its grades are {', '.join(grades)}")
    # Grades of 1..10 are their own place, words stand in the middle of theirs (labels.Truth).
    return float(grade) if grades[0] == "1" else grades.index(grade) + 0.5


def photos_of(lines: Sequence[Line], root: Path) -> list[Photo]:
    """Every photo, brought down to at most 720 px. BadDataSet names all that cannot be decoded (ten at most)."""
    found, bad = [], []
    for line in lines:
        try:
            found.append(Photo(line.file, "rated", _encoded(root / line.file), line.mos, line.quality))
        except OSError as damaged:
            bad.append(f"{line.file} ({damaged.strerror or damaged})")
    if bad:
        raise BadDataSet(f"{len(bad)} files below {root} cannot be decoded: {'; '.join(bad[:10])}")
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

    def features_of(taps: Taps) -> dict[str, teacher.Floats]:
        features, logits = teacher.look(photos, taps)
        return {"features": features, "logits": logits}

    found = teacher.cached(photos, runs, features_of)
    rated = list(_rated(lines, photos))
    said = np.array([[each.mos, each.quality] for each in rated])
    judge = teacher.TapRegression([(found["features"][[each.row for each in rated]], said, 1.0)], ranked=None)
    return Gallery(rated, found["features"], found["logits"], judge)


def _rated(lines: Sequence[Line], photos: Sequence[Photo]) -> Iterator[Rated]:
    for row, (line, photo) in enumerate(zip(lines, photos, strict=True)):
        if photo.is_held_out:
            continue
        content = {name: place for name, place in line.places.items() if name in CONTENT}
        graded = {name: place for name, place in line.places.items() if name not in CONTENT}
        yield Rated(photo, row, line.mos, line.quality, content, graded)
