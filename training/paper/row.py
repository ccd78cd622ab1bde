"""Row: one conversation about one picture, and where its label's digits stand in the answer."""

import re
from dataclasses import dataclass
from pathlib import Path

SCORED_TASKS = ("direct", "regular", "natural")
REASONED_TASKS = ("regular", "natural")
_CONCLUSION = re.compile(r"(?:score of this (?:image|video) is |final score is <)(\d(?:\.\d{1,2})?)(?=[.>])")


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its answer. Has the fields of data.conversations.Row."""

    path: Path
    question: str
    answer: str
    task: str
    """"mix", "high", "middle", "low", the name of an attribute, "direct", "regular" or "natural"."""
    score: float | None = None
    """In [0, 10); None in stage 1."""


def written_score(score: float, digits: int = 3) -> str:
    """The label as the answer has it: round(x, 2) without trailing zeros (7.0, not 7.00); M = digits of 1, 2, 3.

    What rounds up to 10 is written as the largest number that M digits hold. ValueError if not in [0, 10).
    """
    if not 0 <= score < 10:
        raise ValueError(f"a score is normalised to [0, 10) before it is written, got {score = }")
    rounded = min(round(score, digits - 1), 10 - 10.0 ** (1 - digits))
    return str(int(rounded)) if digits == 1 else str(round(rounded, digits - 1))


def split_at_score(row: Row) -> tuple[str, str, str]:
    """The answer before the label, the label as written, and what follows.

    ValueError names the row if a scored answer holds no label (or one that [0, 10) does not have).
    """
    found = list(_CONCLUSION.finditer(row.answer))
    if not found:
        raise ValueError(
            f"{row.path.name}, task {row.task!r}: no score was found in the answer's end {row.answer[-60:]!r}; it ends "
            "'score of this image is 3.98.' or 'final score is <3.98>.', one digit before the point"
        )
    start, end = found[-1].span(1)
    return row.answer[:start], row.answer[start:end], row.answer[end:]
