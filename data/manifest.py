"""Manifest: a CSV file that names files and what people said of them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from assay.errors import AssayError


class BadManifest(AssayError):
    """The manifest cannot be read; the message says where and why."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "BAD_MANIFEST"


@dataclass(frozen=True, slots=True)
class Row:
    """One file and its label."""

    file: str
    """As written in the manifest."""
    path: Path
    """Where it lies; need not exist."""
    mos: float
    """Mean opinion score, in the unit of the data set."""


def read_manifest(manifest: Path, root: Path | None = None, mos_column: str = "mos") -> list[Row]:
    """The rows in order; columns other than `file` and `mos_column` are ignored.

    Files are relative to `root`, by default the manifest's own directory. BadManifest for a manifest that is missing,
    empty, without a column, or with a row that has no file, no number, or a file twice.
    """
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            _check_columns(manifest, reader.fieldnames or (), mos_column)
            rows = [_row(manifest, reader.line_num, fields, root or manifest.parent, mos_column) for fields in reader]
    except OSError as error:
        raise BadManifest(f"{manifest} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadManifest(f"{manifest} is not a CSV file in UTF-8: {error}") from error
    _check_rows(manifest, rows)
    return rows


def _check_columns(manifest: Path, columns: Sequence[str], mos_column: str) -> None:
    for wanted in ("file", mos_column):
        if wanted not in columns:
            raise BadManifest(f"{manifest} has no column {wanted!r}; it has {', '.join(columns) or 'none'}")


def _row(manifest: Path, line: int, fields: dict[str, str | None], root: Path, mos_column: str) -> Row:
    file = fields["file"]
    if not file:
        raise BadManifest(f"{manifest}, line {line}: the file is missing")
    return Row(file, root / file, _number(f"{manifest}, line {line}: {mos_column}", fields[mos_column]))


def _number(where: str, text: str | None) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise BadManifest(f"{where} is {text!r}, not a number")
    return number


def _check_rows(manifest: Path, rows: list[Row]) -> None:
    if not rows:
        raise BadManifest(f"{manifest} has no rows")
    seen: set[str] = set()
    for row in rows:
        if row.file in seen:
            raise BadManifest(f"{manifest} names {row.file} twice; a file that counts twice narrows the interval")
        seen.add(row.file)
