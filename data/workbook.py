"""Workbook: the first sheet of an .xlsx file as rows of text, and the reverse. SPAQ publishes its scores so.

An .xlsx file is a ZIP archive of XML (ECMA-376). Only plain cells are read, without formats and dates; a formula
counts as the value that was stored with it.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from data.tables import BadDataSet

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SHEET, _STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"


def read_rows(path: Path) -> list[list[str]]:
    """Every row of the first sheet, all as wide as the first one; empty rows at the end are left out."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared(book)
            sheet = ElementTree.fromstring(book.read(_SHEET))
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError) as error:
        raise BadDataSet(f"{path} is not an .xlsx workbook with a first sheet: {error}") from error
    rows = [_row(path, row, shared) for row in sheet.iter(f"{_MAIN}row")]
    while rows and not any(rows[-1]):
        rows.pop()
    width = len(rows[0]) if rows else 0
    return [row + [""] * (width - len(row)) for row in rows]


def write_rows(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """A workbook of one sheet; the same rows make the same bytes."""
    body = "".join(
        f'<row r="{r}">{"".join(_cell(f"{_letters(c)}{r}", text) for c, text in enumerate(row))}</row>'
        for r, row in enumerate(rows, 1)
    )
    sheet = f'<worksheet xmlns="{_MAIN[1:-1]}"><sheetData>{body}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in {**_PARTS, _SHEET: sheet}.items():
            # A fixed date, because ZipFile would write that of today.
            book.writestr(zipfile.ZipInfo(name), '<?xml version="1.0" encoding="UTF-8"?>' + text)


def _shared(book: zipfile.ZipFile) -> list[str]:
    if _STRINGS not in book.namelist():
        return []
    table = ElementTree.fromstring(book.read(_STRINGS))
    return ["".join(part.text or "" for part in entry.iter(f"{_MAIN}t")) for entry in table.iter(f"{_MAIN}si")]


def _row(path: Path, row: ElementTree.Element, shared: Sequence[str]) -> list[str]:
    """Cells name their place, because empty ones are left out."""
    cells: list[str] = []
    for cell in row.iter(f"{_MAIN}c"):
        place = _place(cell.get("r", "")) if cell.get("r") else len(cells)
        cells += [""] * (place - len(cells))
        cells.append(_text(path, cell, shared))
    return cells


def _text(path: Path, cell: ElementTree.Element, shared: Sequence[str]) -> str:
    value = cell.findtext(f"{_MAIN}v") or ""
    match cell.get("t", "n"):
        case "s":
            return shared[int(value)]
        case "inlineStr":
            return "".join(part.text or "" for part in cell.iter(f"{_MAIN}t"))
        case "e":
            raise BadDataSet(f"{path}: cell {cell.get('r')} holds the error {value}")
    return value


def _place(reference: str) -> int:
    """The column of a reference such as AB12 (27), counted from 0."""
    place = 0
    for letter in reference.rstrip("0123456789"):
        place = place * 26 + ord(letter) - ord("A") + 1
    return place - 1


def _letters(place: int) -> str:
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _cell(reference: str, text: str) -> str:
    try:
        return f'<c r="{reference}"><v>{float(text)!r}</v></c>'
    except ValueError:
        return f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
    f'<Override PartName="/{_SHEET}" ContentType="{_TYPES}.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN[1:-1]}" xmlns:r="{_RELATIONS}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}
