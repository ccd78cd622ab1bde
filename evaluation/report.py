"""Report: what was measured, as JSON and as tables for a terminal; and how a measurement ends."""

import asyncio
import datetime
import json
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.measure import (
    Failed,
    MeasureOptions,
    Outcome,
    exit_code,
    failures_by_reason,
    models,
    unreadable_count,
)

Report = tuple[dict[str, Any], list[Outcome], str]
"""Numbers for JSON, the outcome of every file that was sent, lines for a terminal."""


def printed(measuring: Coroutine[Any, Any, Report], out: Path | None) -> int:
    """Measures, prints the table and writes the numbers; the exit code."""
    numbers, outcomes, text = asyncio.run(measuring)
    print(text)
    if out:
        write_json(numbers, out)
    _complain(outcomes)
    return exit_code(outcomes)


def _complain(outcomes: Sequence[Outcome]) -> None:
    """The first sentence of each reason, so that a failed run says what to do."""
    sentences = {outcome.reason: outcome.message for outcome in reversed(outcomes) if isinstance(outcome, Failed)}
    for reason, message in sentences.items():
        print(f"evaluation: {reason}: {message}", file=sys.stderr)


def opening(outcomes: Sequence[Outcome], settings: MeasureOptions) -> dict[str, Any]:
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


def heading(outcomes: Sequence[Outcome], settings: MeasureOptions) -> dict[str, Any]:
    """When, where and by which model."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "form": settings.form,
        "models": [asdict(model) for model in models(outcomes)],
    }


def heading_lines(numbers: dict[str, Any]) -> list[str]:
    """Date, form and models."""
    results = [
        f"model           {model['name']}, checkpoint {model['checkpoint_fingerprint'][:12]}, "
        f"preprocessing {model['preprocessing_fingerprint'][:12]}"
        for model in numbers["models"]
    ]
    return [f"date            {numbers['date']}", f"form            {numbers['form']}", *results]


def write_json(numbers: dict[str, Any], path: Path) -> None:
    """Writes the file whole or not at all. OSError."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
