"""Runs written by hand."""

from collections.abc import Mapping, Sequence

from evaluation.runs import DIRECT, FINAL, REASONED, Run, RunRow

MODEL = {"name": "scripted", "checkpoint_fingerprint": "c0ffee", "preprocessing_fingerprint": "beef"}


def run_of(
    scores: Sequence[float | str], mos: Sequence[float], data_set: str = "koniq", models: int = 1, form: str = "regular"
) -> Run:
    """A row for each score; a text instead of a score is the reason of its failure."""
    rows = tuple(
        RunRow(f"{place}.jpg", label, reason=score)
        if isinstance(score, str)
        else RunRow(f"{place}.jpg", label, {FINAL: score, DIRECT: score, REASONED: score}, (score,), (1,))
        for place, (score, label) in enumerate(zip(scores, mos, strict=True))
    )
    return Run(data_set, "koniq", form, rows, tuple({**MODEL, "name": str(place)} for place in range(models)))


def graded(scores: Sequence[float], grades: Sequence[Mapping[str, str]], words: Sequence[str] | None = None) -> Run:
    """A run whose rows have grades, and words as the reason of the composition."""
    reported = words or [""] * len(scores)
    rows = tuple(
        RunRow(f"{place}.jpg", score, {REASONED: score}, grades=each, words={"composition": said})
        for place, (score, each, said) in enumerate(zip(scores, grades, reported, strict=True))
    )
    return Run("koniq", "koniq", "regular", rows, (MODEL,))
