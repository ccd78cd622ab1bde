"""Composite weights from feedback: partial least squares of what people said on how their pictures were graded.

    python -m training.composite feedback.csv --tenant acme --out composites
    python -m training.composite feedback.csv --judgements scores.jsonl --tenant acme --out composites

The table is a CSV with a column `feedback` and either a column per graded attribute (its ordinal, counted from 1, or
the grade in words) or a column `file`, found in the lines that `assay score --json` has written. The result is
OUT/TENANT.json, which the scoring service reads from SCORING_COMPOSITES; assay/composite.py says how grades are coded.

Attributes go together (a clear picture is rarely badly exposed), which makes single least-squares weights unstable;
partial least squares fits a few directions instead. How many is chosen by cross-validation, and the error that it
found on rows that were left out is printed and written into the file's note: next to that of always saying the mean.
"""

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.attribute import KINDS
from assay.composite import CompositeWeights, coded, features_of

Floats = NDArray[np.float64]
FEEDBACK = "feedback"
_FOLDS = 5
_LEAST_ROWS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Graded pictures and what people said of them."""

    names: tuple[str, ...]
    """The features that are there."""
    features: Floats
    """(rows, features) float64, coded as in assay/composite.py."""
    feedback: Floats
    """(rows,) float64, in units of the feedback's scale."""
    checkpoint_fingerprint: str = ""
    """Of the checkpoint that graded; empty if people did."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Weights, and how well they do on rows that they were not fitted to."""

    weights: CompositeWeights
    components: int
    error: float
    """Root mean square over left-out rows, in units of the feedback's scale."""
    error_of_mean: float
    """The same for a constant."""


def read_table(path: Path, judgements: Path | None = None) -> Table:
    """ValueError names the column, file or grade that is missing or unknown; no row is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or FEEDBACK not in rows[0]:
        raise ValueError(f"{path} needs rows and a column {FEEDBACK!r}")
    graded, fingerprint = ([*rows], "") if judgements is None else _graded_by(rows, judgements)
    kinds = [kind for kind in KINDS.values() if kind.is_graded and kind.name in graded[0]]
    if not kinds:
        raise ValueError(f"{path} has no column of a graded attribute; with a column file, give --judgements")
    ordinals = [
        [_ordinal(kind.name, row.get(kind.name), number) for kind in kinds] for number, row in enumerate(graded)
    ]
    names = tuple(feature for kind in kinds for feature in features_of(kind))
    columns = [
        [coded(feature, row[place]) for row in ordinals]
        for place, kind in enumerate(kinds)
        for feature in features_of(kind)
    ]
    feedback = np.array([float(row[FEEDBACK]) for row in rows])
    return Table(names, np.array(columns, float).T, feedback, fingerprint)


def _graded_by(rows: Sequence[Mapping[str, str]], judgements: Path) -> tuple[list[dict[str, str]], str]:
    """The grades of each row's file, and the one checkpoint that gave them."""
    by_file = {each["file"]: each for each in map(json.loads, judgements.read_text(encoding="utf-8").splitlines())}
    graded = []
    for row in rows:
        judged = by_file.get(row.get("file", ""), {})
        if "attributes" not in judged:
            raise ValueError(f"{judgements} has no judgement of {row.get('file')!r}")
        graded.append({name: each["grade"] for name, each in judged["attributes"].items() if each["grade"]})
    fingerprints = {by_file[row["file"]]["model"]["checkpoint_fingerprint"] for row in rows}
    if len(fingerprints) > 1:
        raise ValueError(f"{judgements} mixes the grades of checkpoints {', '.join(sorted(fingerprints))}")
    return graded, fingerprints.pop()


def _ordinal(name: str, value: str | None, row: int) -> float:
    """From an ordinal or a grade in words; composition's grades are their own ordinals."""
    grades = KINDS[name].grades
    if value in grades:
        return grades.index(value) + 1.0
    try:
        ordinal = float(value or "")
    except ValueError:
        ordinal = 0.0
    if not 1 <= ordinal <= len(grades):
        raise ValueError(f"row {row + 1}: {name} is {value!r}; allowed is 1 to {len(grades)}, or {', '.join(grades)}")
    return ordinal


def fit(table: Table, minimum: float, maximum: float, seed: int = 0) -> Fit:
    """The weights with the number of components that does best on rows that are left out; of equals, the fewest.

    ValueError if there are too few rows, if feedback lies outside the scale or nothing varies.
    """
    rows = len(table.feedback)
    if rows < _LEAST_ROWS:
        raise ValueError(f"{rows} rows are too few; {_LEAST_ROWS} are the least")
    if table.feedback.min() < minimum or table.feedback.max() > maximum:
        raise ValueError(f"feedback goes from {table.feedback.min():g} to {table.feedback.max():g}, the scale does not")
    varying = np.ptp(table.features, axis=0) > 0
    if not varying.any() or np.ptp(table.feedback) == 0:
        raise ValueError("every row has the same grades or the same feedback; there is nothing to fit")
    names = [name for name, varies in zip(table.names, varying, strict=True) if varies]
    features = table.features[:, varying]
    folds = np.random.default_rng(seed).permutation(rows) % _FOLDS
    most = min(int(np.linalg.matrix_rank(features - features.mean(0))), rows - rows // _FOLDS - 2)
    errors = [_left_out(features, table.feedback, folds, count) for count in range(1, most + 1)]
    components = 1 + int(np.argmin(np.round(errors, 9)))
    coefficients, intercept = _regressed(features, table.feedback, components)
    error, constant = errors[components - 1], _left_out(features, table.feedback, folds, 0)
    weights = CompositeWeights(
        minimum=minimum,
        maximum=maximum,
        intercept=intercept,
        weights=dict(zip(names, coefficients.tolist(), strict=True)),
        checkpoint_fingerprint=table.checkpoint_fingerprint,
        note=f"{rows} rows, {components} components; error on left-out rows {error:.3f}, of their mean {constant:.3f}",
    )
    return Fit(weights, components, error, constant)


def _left_out(features: Floats, feedback: Floats, folds: NDArray[np.int64], components: int) -> float:
    """Root mean square error over all folds, each predicted from the others; 0 components: from their mean."""
    squares = []
    for fold in range(_FOLDS):
        left, others = folds == fold, folds != fold
        if components:
            coefficients, intercept = _regressed(features[others], feedback[others], components)
            predicted = features[left] @ coefficients + intercept
        else:
            predicted = np.full(left.sum(), feedback[others].mean())
        squares.extend((feedback[left] - predicted) ** 2)
    return float(np.sqrt(np.mean(squares)))


def _regressed(features: Floats, feedback: Floats, components: int) -> tuple[Floats, float]:
    """Weights per unit of each feature, and the intercept."""
    # Only the fit needs it; what it gives is served without.
    from sklearn.cross_decomposition import PLSRegression

    # A feature that is constant in these rows says nothing here, and cannot be scaled to variance 1.
    varying = np.ptp(features, axis=0) > 0
    most = max(1, min(components, int(np.linalg.matrix_rank(features - features.mean(0)))))
    model = PLSRegression(n_components=most, scale=True).fit(features[:, varying], feedback)
    coefficients = np.zeros(features.shape[1])
    coefficients[varying] = np.ravel(model.coef_)
    return coefficients, float(feedback.mean() - features.mean(0) @ coefficients)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, metavar="CSV")
    parser.add_argument("--judgements", type=Path, metavar="JSONL", help="what `assay score --json` wrote")
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="what SCORING_COMPOSITES names")
    parser.add_argument("--minimum", type=float, default=0.0, help="worst feedback that can be given (default 0)")
    parser.add_argument("--maximum", type=float, default=10.0, help="best feedback that can be given (default 10)")
    options = parser.parse_args()
    try:
        fitted = fit(read_table(options.table, options.judgements), options.minimum, options.maximum)
    except (ValueError, OSError) as wrong:
        parser.exit(2, f"training.composite: {wrong}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.tenant}.json"
    path.write_text(fitted.weights.model_dump_json(indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {fitted.weights.note}")
    if fitted.error >= fitted.error_of_mean:
        print("training.composite: on left-out rows these weights are no better than the mean", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
