"""The paper's questions and answers, from wording.toml, for one picture."""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.paper.row import Row, split_at_score, written_score

_FILE = Path(__file__).parent / "wording.toml"


@functools.cache
def wording() -> Mapping[str, Mapping[str, str]]:
    """wording.toml: [direct], [natural], [level_shot], [regular], [stage1]."""
    words: Mapping[str, Mapping[str, str]] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return words


def direct_row(path: Path, score: float, is_video: bool = False, digits: int = 3) -> Row:
    """Q1 and R1."""
    kind, words = _kind(is_video), wording()["direct"]
    answer = words["answer"].format(kind=kind, score=written_score(score, digits))
    return Row(path, words["question"].format(kind=kind), answer, "direct", score)


def reasoned_row(task: str, path: Path, score: float, reasoning: str, is_video: bool = False, digits: int = 3) -> Row:
    """Q2 and R2 (task "natural") or Q3 and R3 ("regular"): the reasoning, then the conclusion."""
    kind, words = _kind(is_video), wording()[task]
    answer = reasoning.strip() + words["conclusion"].format(score=written_score(score, digits))
    return Row(path, words["question"].format(kind=kind), answer, task, score)


def natural_reasoning(values: Mapping[str, str], is_video: bool = False) -> str:
    """Prose from an attribute's name -> what was said of it. ValueError names an attribute that is not given."""
    said = {name: _sentence(value) if name.endswith("_reason") else value for name, value in values.items()}
    try:
        said["level_shot"] = wording()["level_shot"][values["level_shot"]]
        return wording()["natural"]["reasoning"].format(kind=_kind(is_video), **said)
    except KeyError as missing:
        raise ValueError(f"the reasoning needs {missing}, got {', '.join(sorted(values))}") from missing


def _sentence(text: str) -> str:
    """A reason, which may come without capital and full stop."""
    bare = text.strip().rstrip(".,;")
    return f"{bare[:1].upper()}{bare[1:]}." if bare else ""


def stage1_question(task: str, is_video: bool = False) -> str:
    return wording()["stage1"][task].format(kind=_kind(is_video))


def with_digits(row: Row, digits: int) -> Row:
    """The same row with its label written in M = `digits` digits (the paper's digit ablation)."""
    before, label, after = split_at_score(row)
    score: Any = row.score if row.score is not None else float(label)
    return Row(row.path, row.question, before + written_score(score, digits) + after, row.task, row.score)


def _kind(is_video: bool) -> str:
    return "video" if is_video else "image"
