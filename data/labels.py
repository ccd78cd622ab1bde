"""Labels: a CSV file with one row per file and item, the item being an attribute or the score."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from assay.attribute import KINDS
from data.tables import BadDataSet, csv_lines, write_rows

SCORE = "score"
MODEL, PERSON = "model", "person"


@dataclass(frozen=True)
class Label:
    """What somebody said of one item of one file. All text, as it stands in the CSV file."""

    file: str
    """Relative to the folder that was labelled."""
    item: str
    """An attribute of the schema, or "score"."""
    value: str
    """A grade, the words of an attribute that has no grades, or a number on `scale`."""
    probability: str
    """Of the grade, 0..1, as the model gave it; empty for words, numbers, and a person's label."""
    standard_deviation: str
    """Of a score, in units of its scale, as the model gave it; empty otherwise."""
    scale: str
    """"0..10" for a score; empty otherwise."""
    by: str
    """"model NAME CHECKPOINT-FINGERPRINT PREPROCESSING-FINGERPRINT" or "person NAME"."""
    was: str
    """What the model had said, where a person checked it; empty otherwise."""
    note: str
    """Why, in a person's words; empty otherwise."""

    @property
    def key(self) -> tuple[str, str]:
        return self.file, self.item


COLUMNS = tuple(each.name for each in fields(Label))


def read(path: Path) -> list[Label]:
    """BadDataSet names the line of an item or grade that does not exist, or of a second label for the same item."""
    labels: dict[tuple[str, str], Label] = {}
    for line in csv_lines(path, COLUMNS):
        label = Label(**{column: line.cells[column] for column in COLUMNS})
        check(label.item, label.value, label.scale, line.where)
        if label.key in labels:
            raise BadDataSet(f"{line.where}: {label.file} has two labels for {label.item}")
        labels[label.key] = label
    return list(labels.values())


def write(labels: Iterable[Label], path: Path) -> None:
    write_rows(path, COLUMNS, (asdict(label) for label in labels))


def grades(said: Sequence[Label]) -> Mapping[str, Mapping[str, str]]:
    """Attribute -> file -> grade, of graded attributes."""
    found: dict[str, dict[str, str]] = {}
    for each in said:
        if each.item in KINDS and KINDS[each.item].is_graded:
            found.setdefault(each.item, {})[each.file] = each.value
    return found


def check(item: str, value: str, scale: str, where: str) -> None:
    """BadDataSet if the item does not exist, or the value is none that it can have."""
    if item == SCORE:
        low, high = bounds(scale, where)
        try:
            inside = low <= float(value) <= high
        except ValueError:
            inside = False
        if not inside:
            raise BadDataSet(f"{where}: a score on {scale} cannot be {value!r}")
    elif item not in KINDS:
        raise BadDataSet(f"{where}: unknown item {item!r}; known are score, {', '.join(KINDS)}")
    elif KINDS[item].is_graded and value not in KINDS[item].grades:
        raise BadDataSet(f"{where}: {item} has no grade {value!r}; it has {', '.join(KINDS[item].grades)}")


def bounds(scale: str, where: str) -> tuple[float, float]:
    """ "0..10" -> (0.0, 10.0)."""
    low, _, high = scale.partition("..")
    try:
        return float(low), float(high)
    except ValueError:
        raise BadDataSet(f"{where}: {scale!r} is no scale such as 0..10") from None
