"""`python -m evaluation readings`: which number read from the same digit distributions correlates best with MOS?

Nothing is asked twice: the direct and the reasoned number of one answer are read as written (arg-max), digit by digit
and as whole numbers (assay/digits.py), alone and as weighted means of the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from assay.cli.options import with_options
from assay.client import Judgement
from assay.digits import READINGS
from assay.generator import NumberWritten
from assay.score import Score
from data.manifest import ManifestRow
from evaluation import options
from evaluation.correlation import Numbers, difference, plcc_rows, srcc_rows, with_interval
from evaluation.measure import Failed, MeasureOptions, Outcome, measure, models
from evaluation.report import Report, cell, columns, opening, opening_lines, printed

DIRECT_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Share of the direct number; 0 is the reasoned number alone, 1 the direct one alone."""
WRITTEN = "as written"
Setting = tuple[str, float]
"""(reading: a key of READINGS or WRITTEN, direct_weight)."""


def read(score: Score, reading: str) -> float:
    """One number from a score's digits. ValueError if the server sent no digits."""
    if reading == WRITTEN:
        return float(score.written)
    return READINGS[reading](NumberWritten("score", score.written, score.by_prefix))[0]


def settings_of(judgement: Judgement) -> dict[Setting, float]:
    """The score under every setting; without a reasoned number only those that do not need one."""
    window = judgement.windows[0]
    found = {}
    for reading in (*READINGS, WRITTEN):
        direct = read(window.direct_score, reading)
        reasoned = read(window.reasoned_score, reading) if window.reasoned_score else None
        for weight in DIRECT_WEIGHTS:
            if reasoned is not None:
                found[reading, weight] = weight * direct + (1 - weight) * reasoned
            elif weight == 1.0:
                found[reading, weight] = direct
    return found


async def compare(rows: Sequence[ManifestRow], settings: MeasureOptions, seed: int) -> Report:
    """Asks for every photo once: numbers, outcomes and the table."""
    outcomes = await measure([row.path for row in rows], settings)
    scored = [(row, each) for row, each in zip(rows, outcomes, strict=True) if isinstance(each, Judgement)]
    numbers = {**opening(outcomes, settings), "scored": len(scored), "bootstrap_seed": seed}
    numbers |= _settings(scored, seed) if len(models(outcomes)) == 1 else {"settings": [], "served": None}
    numbers["rows"] = [_row(row, outcome) for row, outcome in zip(rows, outcomes, strict=True)]
    return numbers, outcomes, table(numbers)


def _settings(scored: Sequence[tuple[ManifestRow, Judgement]], seed: int) -> dict[str, Any]:
    read_each = [settings_of(judgement) for _, judgement in scored]
    mos = np.array([row.mos for row, _ in scored])
    values = {setting: np.array([each[setting] for each in read_each]) for setting in read_each[0]}
    served = _served(values, np.array([judgement.score.value for _, judgement in scored]))
    base = values[served] if served else None
    rows = [_summary(setting, scores, mos, base, seed) for setting, scores in values.items()]
    rows.sort(key=lambda row: -2.0 if row["srcc"]["value"] is None else -row["srcc"]["value"])
    return {"settings": rows, "served": served}


def _served(values: Mapping[Setting, Numbers], scores: Numbers) -> Setting | None:
    """The setting that gives the very scores which the server gave; None if it is none of ours."""
    for setting, read_so in values.items():
        if np.allclose(read_so, scores, atol=1e-4):
            return setting
    return None


def _summary(setting: Setting, scores: Numbers, mos: Numbers, base: Numbers | None, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {"expectation": setting[0], "direct_weight": setting[1]}
    for name, statistic in (("srcc", srcc_rows), ("plcc", plcc_rows)):
        found[name] = asdict(with_interval(statistic, scores, mos, seed=seed))
        if base is not None:
            found[f"{name}_gain"] = asdict(difference(statistic, scores, base, mos, seed=seed))
    return found


def _row(row: ManifestRow, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"file": row.file, "mos": row.mos, "reason": outcome.reason, "message": outcome.message}
    window = outcome.windows[0]
    written = [score.written for score in (window.direct_score, window.reasoned_score) if score]
    return {"file": row.file, "mos": row.mos, "score": outcome.score.value, "written": written}


def table(numbers: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    head = ("expectation", "direct_weight", "SRCC", "95 %", "PLCC", "95 %", "SRCC - served's", "95 %")
    rows = [
        (
            row["expectation"],
            f"{row['direct_weight']:g}",
            *(
                text
                for key in ("srcc", "plcc", "srcc_gain")
                for text in _cells(row.get(key), signed=key == "srcc_gain")
            ),
        )
        for row in numbers["settings"]
    ]
    return "\n".join(
        [
            *opening_lines(numbers),
            f"scored          {numbers['scored']}",
            f"served          {_named(numbers['served'])}",
            "",
            *columns(head, rows),
            "",
            _advice(numbers),
        ]
    )


def _cells(found: dict[str, Any] | None, *, signed: bool) -> tuple[str, str]:
    if not found or found["value"] is None:
        return "-", "-"
    form = "+.4f" if signed else ".3f"
    return cell(found["value"], form), f"{cell(found['low'], form)} … {cell(found['high'], form)}"


def _named(setting: Setting | None) -> str:
    return "none of these" if setting is None else f'expectation "{setting[0]}", direct_weight {setting[1]:g}'


def _advice(numbers: dict[str, Any]) -> str:
    servable = [
        row for row in numbers["settings"] if row["expectation"] in READINGS and row["srcc"]["value"] is not None
    ]
    if not servable:
        return "no setting has a correlation; see failures and models above"
    best = servable[0]
    setting = (best["expectation"], best["direct_weight"])
    gain = best.get("srcc_gain")
    if numbers["served"] and setting == tuple(numbers["served"]):
        remark = ", which is what is served"
    elif gain and gain["low"] is not None and gain["low"] <= 0 <= gain["high"]:
        remark = "; its distance to what is served is within chance"
    else:
        remark = ""
    return f"best for assay.toml: {_named(setting)}{remark}"


@with_options(options.rated, options.asking)
def command(rows: list[ManifestRow], asked: MeasureOptions, seed: options.Seed = 0, out: options.JsonOut = None) -> int:
    """Which number read from the digits correlates best with MOS?"""
    return printed(compare(rows, asked, seed), out)
