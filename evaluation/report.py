"""Report: outcomes and labels -> numbers, as JSON and as a table."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from assay.client import Judgement
from data.manifest import Row
from evaluation.correlation import (
    Correlation,
    LogisticFit,
    fit_logistic,
    plcc_rows,
    srcc_rows,
    with_interval,
)
from evaluation.measure import Outcome, Settings, failures_by_reason, models, unreadable_count

_TWO_MODELS = "files were scored by more than one model, and their scores must not be compared"


def report(rows: Sequence[Row], outcomes: Sequence[Outcome], settings: Settings, *, seed: int = 0) -> dict[str, Any]:
    """Everything that was measured, ready for JSON."""
    pairs = [
        (outcome.score.value, row.mos)
        for row, outcome in zip(rows, outcomes, strict=True)
        if isinstance(outcome, Judgement)
    ]
    return {
        **heading(outcomes, settings),
        "n": len(rows),
        "scored": len(pairs),
        "unreadable": unreadable_count(outcomes),
        "failures": failures_by_reason(outcomes),
        **_correlations(pairs, has_one_model=len(models(outcomes)) <= 1, seed=seed),
        "rows": [_row(row, outcome) for row, outcome in zip(rows, outcomes, strict=True)],
    }


def heading(outcomes: Sequence[Outcome], settings: Settings) -> dict[str, Any]:
    """When, where and by which model."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "form": settings.form,
        "models": [asdict(model) for model in models(outcomes)],
    }


def _correlations(pairs: Sequence[tuple[float, float]], *, has_one_model: bool, seed: int) -> dict[str, Any]:
    scores, mos = np.array(pairs, np.float64).reshape(-1, 2).T
    fit = fit_logistic(scores, mos) if has_one_model else _TWO_MODELS
    if not has_one_model:
        linear = ranks = fitted = Correlation(None, reason=_TWO_MODELS)
    else:
        ranks = with_interval(srcc_rows, scores, mos, seed=seed)
        linear = with_interval(plcc_rows, scores, mos, seed=seed)
        # The fit is held while files are drawn again; fitting each draw anew would cost minutes and change little.
        fitted = (
            with_interval(plcc_rows, fit(scores), mos, seed=seed)
            if isinstance(fit, LogisticFit)
            else Correlation(None, reason=fit)
        )
    return {
        "srcc": asdict(ranks),
        "plcc": asdict(linear),
        "plcc_logistic": {
            **asdict(fitted),
            "parameters": asdict(fit) if isinstance(fit, LogisticFit) else None,
        },
        "bootstrap_seed": seed,
    }


def _row(row: Row, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Judgement):
        return {
            "file": row.file,
            "mos": row.mos,
            "score": outcome.score.value,
            "stddev": outcome.score.standard_deviation,
        }
    return {"file": row.file, "mos": row.mos, "reason": outcome.reason, "message": outcome.message}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    failures = ", ".join(f"{count} {reason}" for reason, count in numbers["failures"].items())
    return "\n".join(
        [
            *heading_lines(numbers),
            f"n               {numbers['n']}",
            f"scored          {numbers['scored']}",
            f"unreadable      {numbers['unreadable']}",
            f"failures        {failures or 'none'}",
            f"SRCC            {_coefficient(numbers['srcc'])}",
            f"PLCC            {_coefficient(numbers['plcc'])}",
            f"PLCC, logistic  {_coefficient(numbers['plcc_logistic'])}",
        ]
    )


def heading_lines(numbers: dict[str, Any]) -> list[str]:
    """Date, form and models."""
    told = [
        f"model           {model['name']}, checkpoint {model['checkpoint_fingerprint'][:12]}, "
        f"preprocessing {model['preprocessing_fingerprint'][:12]}"
        for model in numbers["models"]
    ]
    return [f"date            {numbers['date']}", f"form            {numbers['form']}", *told]


def _coefficient(numbers: dict[str, Any]) -> str:
    if numbers["value"] is None:
        return f"none: {numbers['reason']}"
    if numbers["low"] is None:
        return f"{numbers['value']:.3f}  (no interval: {numbers['reason']})"
    return f"{numbers['value']:.3f}  95 % [{numbers['low']:.3f}, {numbers['high']:.3f}]"


def write_json(numbers: dict[str, Any], path: Path) -> None:
    """Writes the file whole or not at all. OSError."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(numbers, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
