"""Tables, row by row (CSV and .xlsx): what is missing or no number is an error that names the file and the line."""

import csv
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from assay.errors import AssayError


class BadDataSet(AssayError):
    """A data set cannot be read as published; the message names the file, the row and what to do."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "BAD_DATA_SET"


@dataclass(frozen=True, slots=True)
class TableLine:
    """One row of a table."""

    where: str
    """File and line, for complaints."""
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """BadDataSet if the cell is empty."""
        if not (text := self.cells[column].strip()):
            raise BadDataSet(f"{self.where}: {column} is empty")
        return text

    def number(self, column: str) -> float:
        """BadDataSet if the cell holds no finite number."""
        return number(f"{self.where}: {column}", self.cells[column])


def number(where: str, text: str) -> float:
    """BadDataSet if `text` is no finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise BadDataSet(f"{where} is {text!r}, not a number")
    return value


def existing(path: Path, source: str) -> Path:
    """The path. BadDataSet says where the data set comes from if nothing lies there."""
    if not path.exists():
        raise BadDataSet(f"{path} is missing; the data set comes from {source}")
    return path


def _lines(path: Path, rows: Sequence[tuple[int, Sequence[str]]], columns: Sequence[str]) -> Iterator[TableLine]:
    """Numbered rows under a header. BadDataSet names a column that is missing, or a row that is too short."""
    header = [name.strip() for name in rows[0][1]] if rows else []
    for column in columns:
        if column not in header:
            raise BadDataSet(f"{path} has no column {column!r}; it has {', '.join(header) or 'none'}")
    for number, row in rows[1:]:
        where = f"{path}, line {number}"
        if len(row) != len(header):
            raise BadDataSet(f"{where} has {len(row)} cells, and the header has {len(header)}")
        yield TableLine(where, dict(zip(header, row, strict=True)))


def csv_lines(path: Path, columns: Sequence[str]) -> Iterator[TableLine]:
    """Rows under the header of a CSV file in UTF-8; empty lines are skipped. BadDataSet names a column that is missing,
    or a row that is too short."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            reader = csv.reader(text)
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise BadDataSet(f"{path} cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadDataSet(f"{path} is not a CSV file in UTF-8: {error}") from error
    return _lines(path, rows, columns)


def workbook_lines(path: Path, columns: Sequence[str]) -> Iterator[TableLine]:
    """As csv_lines, of the first sheet of an .xlsx file; a formula counts as the value that was stored with it."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [[_cell(path, cell) for cell in row] for row in book.worksheets[0].iter_rows()]
    except (zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, IndexError, ValueError) as error:
        raise BadDataSet(f"{path} is not an .xlsx workbook with a first sheet: {error}") from error
    while rows and not any(rows[-1]):
        rows.pop()
    width = len(rows[0]) if rows else 0
    padded = [(number, row + [""] * (width - len(row))) for number, row in enumerate(rows, 1)]
    return _lines(path, padded, columns)


def _cell(path: Path, cell: Any) -> str:
    if cell.data_type == "e":
        raise BadDataSet(f"{path}: cell {cell.coordinate} holds the error {cell.value}")
    return "" if cell.value is None else str(cell.value)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    """Whole or not at all, because these files hold hours of work."""
    half = path.with_name(f"{path.name}.part")
    with half.open("w", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    half.replace(path)
