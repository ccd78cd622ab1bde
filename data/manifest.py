"""Manifest: a CSV file that names files and what people said of them."""

from dataclasses import dataclass
from pathlib import Path

from data.tables import BadDataSet, csv_lines


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One file and its label."""

    file: str
    """As written in the manifest."""
    path: Path
    """Where it lies; need not exist."""
    mos: float
    """Mean opinion score, in the unit of the data set."""


def read_manifest(manifest: Path, root: Path | None = None, mos_column: str = "mos") -> list[ManifestRow]:
    """The rows in order; columns other than `file` and `mos_column` are ignored.

    Files are relative to `root`, by default the manifest's own directory. BadDataSet for a manifest that is missing,
    empty, without a column, or with a row that has no file, no number, or a file twice.
    """
    rows = []
    for line in csv_lines(manifest, ("file", mos_column)):
        file = line.text("file")
        rows.append(ManifestRow(file, (root or manifest.parent) / file, line.number(mos_column)))
    _check_rows(manifest, rows)
    return rows


def _check_rows(manifest: Path, rows: list[ManifestRow]) -> None:
    if not rows:
        raise BadDataSet(f"{manifest} has no rows")
    listed_files: set[str] = set()
    for row in rows:
        if row.file in listed_files:
            raise BadDataSet(f"{manifest} names {row.file} twice; a file that counts twice narrows the interval")
        listed_files.add(row.file)
