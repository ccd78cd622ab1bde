"""Correction: the doubtful labels go into a sheet, a person fills its empty columns, and the sheet is merged back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data import labels
from data.labels import MODEL, PERSON, SCORE, Label
from data.tables import BadDataSet, csv_lines, write_rows

SHEET_COLUMNS = ("file", "item", "value", "doubt", "correction", "person", "note")
"""A person writes `correction` (the same value to confirm it), `person` (who), and `note` if there is something to say.
A row without a correction was not checked."""
LEAST_PROBABILITY, MOST_DEVIATION = 0.5, 1.0
"""Of a grade, and of a score in tenths of its scale: what lies beyond is doubtful."""


@dataclass(frozen=True)
class Doubt:
    """A label that the model was not sure of."""

    label: Label
    amount: float
    """How far beyond the limit, as a share of it: 1 is fully doubtful, 0 just so."""
    reason: str


def doubtful(
    said: Iterable[Label], least_probability: float = LEAST_PROBABILITY, most_deviation: float = MOST_DEVIATION
) -> list[Doubt]:
    """A model's labels with a grade less probable than that, or a score with a larger standard deviation (in tenths of
    its scale); most doubtful first. Words, and what people said, are never in doubt."""
    found = [_doubt(each, least_probability, most_deviation) for each in said if each.by.startswith(f"{MODEL} ")]
    return sorted((each for each in found if each), key=lambda each: (-each.amount, each.label.key))


def _doubt(label: Label, least: float, most: float) -> Doubt | None:
    if label.item == SCORE and label.standard_deviation:
        low, high = labels.bounds(label.scale, label.file)
        deviation = 10 * float(label.standard_deviation) / (high - low)
        if deviation > most:
            return Doubt(label, min(1.0, deviation / most - 1), f"standard deviation {label.standard_deviation}")
    elif label.probability and float(label.probability) < least:
        return Doubt(label, 1 - float(label.probability) / least, f"probability {label.probability}")
    return None


def write_sheet(doubts: Iterable[Doubt], path: Path) -> None:
    """A CSV file for a spreadsheet. BadDataSet if it exists: it may hold somebody's corrections."""
    if path.exists():
        raise BadDataSet(f"{path} exists, and may hold corrections; merge it first, or take another name")
    rows = (
        {"file": each.label.file, "item": each.label.item, "value": each.label.value, "doubt": each.reason}
        | dict.fromkeys(("correction", "person", "note"), "")
        for each in doubts
    )
    write_rows(path, SHEET_COLUMNS, rows)


@dataclass(frozen=True)
class Merged:
    """Labels after a round."""

    said: list[Label]
    corrected: int
    """A person gave another value."""
    confirmed: int
    """A person gave the same value."""
    open: int
    """In the sheet, and not checked."""


def merge(said: Sequence[Label], sheet: Path) -> Merged:
    """The labels with the sheet's corrections. Every changed one says who gave it and what the model had said.

    BadDataSet names the line of a correction that cannot be: not in the labels, made for another value than the one
    that stands there (the sheet is older than the labels), none that the item can have, without a person, or twice.
    """
    merged = {each.key: each for each in said}
    corrected_keys: set[tuple[str, str]] = set()
    corrected = confirmed = still_open = 0
    for line in csv_lines(sheet, SHEET_COLUMNS):
        label = merged.get(key := (line.cells["file"], line.cells["item"]))
        if label is None or key in corrected_keys:
            raise BadDataSet(f"{line.where}: {key[1]} of {key[0]} {'stands here twice' if label else 'has no label'}")
        corrected_keys.add(key)
        correction = line.cells["correction"].strip()
        if not correction:
            still_open += 1
            continue
        if label.value != line.cells["value"]:
            raise BadDataSet(f"{line.where}: corrects {line.cells['value']!r}, and the label is {label.value!r} by now")
        labels.check(label.item, correction, label.scale, line.where)
        by = f"{PERSON} {line.text('person')}"
        # What the model was sure of says nothing of a person.
        blank = replace(label, probability="", standard_deviation="", was=label.was or label.value)
        merged[key] = replace(blank, value=correction, by=by, note=line.cells["note"].strip())
        corrected, confirmed = corrected + (correction != label.value), confirmed + (correction == label.value)
    return Merged(list(merged.values()), corrected, confirmed, still_open)
