import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tables import BadDataSet, workbook_lines
from tests.data.miniature import write_workbook

texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), max_size=8)
COLUMNS = ("Image name", "MOS")


def book(path, *rows):
    """Cells as openpyxl writes them: None leaves one out."""
    made = openpyxl.Workbook()
    for row in rows:
        made.worksheets[0].append(row)
    made.save(path)
    return path


@given(st.lists(st.tuples(texts.map(lambda text: f"x{text}"), st.integers(-(10**6), 10**6)), min_size=1, max_size=20))
def test_cells_are_read_as_they_were_written(tmp_path_factory, cells):
    path = tmp_path_factory.mktemp("book") / "book.xlsx"
    write_workbook(path, [COLUMNS, *((text, f"{number}.5") for text, number in cells)])
    read = [(line.cells["Image name"], line.number("MOS")) for line in workbook_lines(path, COLUMNS)]
    assert read == [(text, float(f"{number}.5")) for text, number in cells]


def test_a_cell_that_was_left_out_is_empty(tmp_path):
    path = book(tmp_path / "book.xlsx", ["a", None, "bc"], [None, 5])
    (line,) = workbook_lines(path, ("a", "bc"))
    assert dict(line.cells) == {"a": "", "": "5", "bc": ""}


def test_a_whole_number_has_no_point(tmp_path):
    (line,) = workbook_lines(book(tmp_path / "book.xlsx", ["MOS"], [5]), ("MOS",))
    assert line.text("MOS") == "5"


def test_empty_rows_at_the_end_are_left_out(tmp_path):
    assert list(workbook_lines(book(tmp_path / "book.xlsx", ["MOS"], [None], [""]), ("MOS",))) == []


def test_an_error_in_a_cell_is_named(tmp_path):
    path = book(tmp_path / "book.xlsx", ["MOS"], ["#N/A"])
    with pytest.raises(BadDataSet, match="cell A2 holds the error #N/A"):
        list(workbook_lines(path, ("MOS",)))


@pytest.mark.parametrize("content", [b"name,mos", b"", b"PK\x05\x06" + bytes(18)], ids=["text", "nothing", "empty zip"])
def test_what_is_no_workbook_is_named(tmp_path, content):
    (tmp_path / "book.xlsx").write_bytes(content)
    with pytest.raises(BadDataSet, match=r"book\.xlsx is not an \.xlsx workbook"):
        list(workbook_lines(tmp_path / "book.xlsx", COLUMNS))
