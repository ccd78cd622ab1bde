"""Example: what is learnt of one picture: a question and an answer of weighted segments; and the paper's wording.

The questions and answers of the paper stand in wording.toml. A label stands at the end of a scored answer, and its
digits are a segment of their own, because they are cut into tokens, and measured, apart from the text around them.
"""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.conversations import ConversationRow

SCORED_TASKS = ("direct", "regular", "natural")
REASONED_TASKS = ("regular", "natural")
_CONCLUSION = re.compile(r"(?:score of this (?:image|video) is |final score is <)(\d(?:\.\d{1,2})?)(?=[.>])")
_FILE = Path(__file__).parent / "wording.toml"


@dataclass(frozen=True, slots=True)
class WeightedText:
    """A part of an answer, cut into tokens by itself."""

    text: str
    weight: float = 1.0
    """Of each of its tokens in the loss."""
    is_label: bool = False
    """True: the digits of the score."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A picture, a question and its answer."""

    path: Path
    question: str
    answer: tuple[WeightedText, ...]
    task: str
    """"mix", "high", "middle", "low", the name of an attribute, "direct", "regular" or "natural"."""
    score: float | None = None
    """In [0, 10); None in stage 1."""


def example_of(row: ConversationRow) -> TrainingExample:
    """Every token of the answer weighs the same, as in the paper. ValueError if a scored answer holds no label."""
    if row.task not in SCORED_TASKS:
        return TrainingExample(row.path, row.question, (WeightedText(row.answer),), row.task, row.score)
    # Cut where the engine cuts: it forces the text, and then lets the digits be written one by one.
    before, label, after = split_at_score(row)
    answer = (WeightedText(before), WeightedText(label, is_label=True), WeightedText(after))
    return TrainingExample(row.path, row.question, answer, row.task, float(label))


def written_score(score: float, digits: int = 3) -> str:
    """The label as the answer has it: round(x, 2) without trailing zeros (7.0, not 7.00); M = digits of 1, 2, 3.

    What rounds up to 10 is written as the largest number that M digits hold. ValueError if not in [0, 10).
    """
    if not 0 <= score < 10:
        raise ValueError(f"a score is normalised to [0, 10) before it is written, got {score = }")
    rounded = min(round(score, digits - 1), 10 - 10.0 ** (1 - digits))
    return str(int(rounded)) if digits == 1 else str(round(rounded, digits - 1))


def split_at_score(row: ConversationRow) -> tuple[str, str, str]:
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


@functools.cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """wording.toml: [direct], [natural], [level_shot], [regular], [stage1]."""
    words: Mapping[str, Mapping[str, str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return words


def direct_row(path: Path, score: float, is_video: bool = False) -> ConversationRow:
    """Q1 and R1."""
    kind, words = _kind(is_video), wording()["direct"]
    answer = words["answer"].format(kind=kind, score=written_score(score))
    return ConversationRow(path, words["question"].format(kind=kind), answer, "direct", score)


def reasoned_row(task: str, path: Path, score: float, reasoning: str, is_video: bool = False) -> ConversationRow:
    """Q2 and R2 (task "natural") or Q3 and R3 ("regular"): the reasoning, then the conclusion."""
    kind, words = _kind(is_video), wording()[task]
    answer = reasoning.strip() + words["conclusion"].format(score=written_score(score))
    return ConversationRow(path, words["question"].format(kind=kind), answer, task, score)


def natural_reasoning(values: Mapping[str, str]) -> str:
    """Prose from an attribute's name -> what was said of it. ValueError names an attribute that is not given."""
    said = {name: _sentence(value) if name.endswith("_reason") else value for name, value in values.items()}
    try:
        said["level_shot"] = wording()["level_shot"][values["level_shot"]]
        return wording()["natural"]["reasoning"].format(kind=_kind(is_video=False), **said)
    except KeyError as missing:
        raise ValueError(f"the reasoning needs {missing}, got {', '.join(sorted(values))}") from missing


def _sentence(text: str) -> str:
    """A reason, which may come without capital and full stop."""
    bare = text.strip().rstrip(".,;")
    return f"{bare[:1].upper()}{bare[1:]}." if bare else ""


def stage1_question(task: str, is_video: bool = False) -> str:
    return wording()["stage1"][task].format(kind=_kind(is_video))


def with_digits(row: ConversationRow, digits: int) -> ConversationRow:
    """The same row with its label written in M = `digits` digits (the paper's digit ablation)."""
    before, label, after = split_at_score(row)
    score: Any = row.score if row.score is not None else float(label)
    return replace(row, answer=before + written_score(score, digits) + after)


def _kind(is_video: bool) -> str:
    return "video" if is_video else "image"
