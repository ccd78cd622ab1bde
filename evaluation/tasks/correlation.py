"""`python -m evaluation correlation`: scores every file of a manifest and correlates the scores with its MOS."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from assay.cli.options import with_options
from assay.client import Judgement
from data.manifest import ManifestRow
from evaluation.correlation import (
    Correlation,
    LogisticFit,
    fit_logistic,
    plcc_rows,
    srcc_rows,
    with_interval,
)
from evaluation.measure import MeasureOptions, Outcome, failures_by_reason, measure, models, unreadable_count
from evaluation.options import FilesRoot, JsonOut, Limit, Manifest, MosColumn, Seed, asking, rated
from evaluation.report import Report, heading, heading_lines, printed

_TWO_MODELS = "files were scored by more than one model, and their scores must not be compared"


async def correlate(rows: Sequence[ManifestRow], settings: MeasureOptions, seed: int, manifest: str = "") -> Report:
    """Asks for every file once: numbers, outcomes and the table."""
    outcomes = await measure([row.path for row in rows], settings)
    numbers = {**report(rows, outcomes, settings, seed=seed), "manifest": manifest}
    return numbers, outcomes, table(numbers)


def report(
    rows: Sequence[ManifestRow], outcomes: Sequence[Outcome], settings: MeasureOptions, *, seed: int = 0
) -> dict[str, Any]:
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


def _row(row: ManifestRow, outcome: Outcome) -> dict[str, Any]:
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


def _coefficient(numbers: dict[str, Any]) -> str:
    if numbers["value"] is None:
        return f"none: {numbers['reason']}"
    if numbers["low"] is None:
        return f"{numbers['value']:.3f}  (no interval: {numbers['reason']})"
    return f"{numbers['value']:.3f}  95 % [{numbers['low']:.3f}, {numbers['high']:.3f}]"


@with_options(asking)
def command(
    asked: MeasureOptions,
    manifest: Manifest,
    root: FilesRoot = None,
    mos_column: MosColumn = "mos",
    limit: Limit = None,
    seed: Seed = 0,
    out: JsonOut = None,
) -> int:
    """Score every file of a manifest and correlate the scores with its MOS."""
    rows = rated(manifest, root, mos_column, limit)
    return printed(correlate(rows, asked, seed, str(manifest)), out)
