import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tables import BadDataSet
from data.workbook import read_rows, write_rows

texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), max_size=8)


@given(texts.map(lambda text: f"x{text}"), st.integers(-(10**6), 10**6))
def test_cells_are_read_as_they_were_written(tmp_path_factory, text, number):
    path = tmp_path_factory.mktemp("book") / "book.xlsx"
    write_rows(path, [["Image name", "MOS"], [text, str(number)]])
    (_, (name, mos)) = read_rows(path)
    assert (name, float(mos)) == (text, number)


def test_a_cell_that_was_left_out_is_empty(tmp_path):
    path = tmp_path / "book.xlsx"
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="B2"><v>5</v></c></row></sheetData></worksheet>'
    )
    shared = (
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>a</t></si>'
        "<si><r><t>b</t></r><r><t>c</t></r></si></sst>"
    )
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", sheet)
        book.writestr("xl/sharedStrings.xml", shared)
    assert read_rows(path) == [["a", "", "bc"], ["", "5", ""]]


def test_what_is_no_workbook_is_named(tmp_path):
    (tmp_path / "book.xlsx").write_text("name,mos")
    with pytest.raises(BadDataSet, match=r"book\.xlsx is not an \.xlsx workbook"):
        read_rows(tmp_path / "book.xlsx")
