"""Table: the lines that every report opens with, and columns that line up."""

from collections.abc import Sequence
from typing import Any

from evaluation.measure import Outcome, Settings, failures_by_reason, unreadable_count
from evaluation.report import heading, heading_lines


def opening(outcomes: Sequence[Outcome], settings: Settings) -> dict[str, Any]:
    """Date, form, models and how many files were sent, ready for JSON."""
    return {
        **heading(outcomes, settings),
        "n": len(outcomes),
        "unreadable": unreadable_count(outcomes),
        "failures": failures_by_reason(outcomes),
    }


def opening_lines(numbers: dict[str, Any]) -> list[str]:
    """The same for a terminal."""
    failures = ", ".join(f"{count} {reason}" for reason, count in numbers["failures"].items())
    return [
        *heading_lines(numbers),
        f"n               {numbers['n']} files, {numbers['unreadable']} unreadable",
        f"failures        {failures or 'none'}",
    ]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, all others to the right, each as wide as its widest cell."""
    lines = [head, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]


def cell(value: float | None, form: str = ".3f") -> str:
    """A number, or "-" where there is none."""
    return "-" if value is None else format(value, form)


def share(part: int, whole: int) -> float | None:
    """None of nothing."""
    return part / whole if whole else None
