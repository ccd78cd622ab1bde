"""Run: one data set scored in one setting, with every row's fate, as one JSON file.

Tables, figures and comparisons read runs, so that nothing has to be scored twice and two checkpoints can be compared
long after both servers are gone.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assay.client import Judgement, NoServer, Window
from assay.errors import AssayError, UnreadableVerdict
from evaluation.correlation import Numbers
from evaluation.measure import Failed, Outcome


def _worst_quarter(scores: Numbers, frames: Numbers) -> float:
    """Mean of the lowest quarter of the clips, at least one: people remember the bad moments."""
    return float(np.sort(scores)[: max(1, len(scores) // 4)].mean())


POOLINGS: Mapping[str, Callable[[Numbers, Numbers], float]] = {
    "frame mean": lambda scores, frames: float(np.average(scores, weights=frames)),
    "mean": lambda scores, frames: float(scores.mean()),
    "median": lambda scores, frames: float(np.median(scores)),
    "minimum": lambda scores, frames: float(scores.min()),
    "worst quarter": _worst_quarter,
}
"""Name to the rule. `frame mean`, every clip weighing as its frames, is what the gateway serves."""


def pooled(scores: Sequence[float], frames: Sequence[int], how: str) -> float:
    """One number, in units of the scores. KeyError for a rule that does not exist."""
    if not scores or len(scores) != len(frames) or min(frames) < 1:
        raise ValueError(f"each score needs at least one frame, got {scores = }, {frames = }")
    return POOLINGS[how](np.array(scores, np.float64), np.array(frames, np.float64))


FINAL, DIRECT, REASONED = "final", "direct", "reasoned"
READINGS = (FINAL, DIRECT, REASONED)
"""What counts as the score of a row: the served one, the number asked for alone (Q1), the one after the reasoning."""


class BadRun(AssayError):
    """A run cannot be read, or two runs cannot be compared; the message says why."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "BAD_RUN"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One file and what became of it."""

    file: str
    mos: float
    """Mean opinion score, in the data set's own units: a correlation does not mind, and nothing is capped."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """By reading, in units of the checkpoint's scale; empty if the row failed."""
    window_scores: tuple[float, ...] = ()
    """Served score of every clip, in order of time; one for a picture."""
    window_frames: tuple[int, ...] = ()
    grades: Mapping[str, str] = field(default_factory=dict)
    """Attribute to grade."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Attribute to the reason for its grade, where one was given."""
    reason: str = ""
    """Why there is no score: BAD_MEDIA, UNREADABLE_VERDICT, …; empty if there is one."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All rows of one split, in order."""

    data_set: str
    trained_on: str
    form: str
    rows: tuple[RunRow, ...]
    models: tuple[Mapping[str, str], ...] = ()
    """Name and fingerprints of every model that answered; more than one must not be compared."""
    setting: str = ""
    """What was varied, in words; empty for the checkpoint as it is."""

    def counts(self, reading: str = FINAL) -> dict[str, int]:
        """n, scored, unreadable, failed (all other failures); the last three sum to n."""
        scored = sum(reading in row.scores for row in self.rows)
        unreadable = sum(row.reason == UnreadableVerdict.reason for row in self.rows)
        return {
            "n": len(self.rows),
            "scored": scored,
            "unreadable": unreadable,
            "failed": len(self.rows) - scored - unreadable,
        }

    def failures(self) -> dict[str, int]:
        """How often each reason occurred."""
        return dict(Counter(row.reason for row in self.rows if row.reason).most_common())

    def pairs(self, reading: str = FINAL) -> tuple[Numbers, Numbers]:
        """Scores and MOS of the rows that have this reading."""
        found = [(row.scores[reading], row.mos) for row in self.rows if reading in row.scores]
        scores, mos = np.array(found, np.float64).reshape(-1, 2).T
        return scores, mos


def run_row(file: str, mos: float, outcome: Outcome) -> RunRow:
    """What became of a file."""
    if isinstance(outcome, Failed):
        return RunRow(file, mos, reason=outcome.reason, message=outcome.message)
    return RunRow(
        file,
        mos,
        _readings(outcome),
        tuple(window.score.value for window in outcome.windows),
        tuple(window.frame_count for window in outcome.windows),
        {name: attribute.grade for name, attribute in outcome.attributes.items() if attribute.grade},
        {name: attribute.text for name, attribute in outcome.attributes.items() if attribute.text},
    )


def _readings(judgement: Judgement) -> dict[str, float]:
    readings = {
        FINAL: judgement.score.value,
        DIRECT: _mean([w.direct_score.value for w in judgement.windows], judgement),
    }
    reasoned = [window.reasoned_score.value for window in judgement.windows if window.reasoned_score]
    if len(reasoned) == len(judgement.windows):
        readings[REASONED] = _mean(reasoned, judgement)
    return readings


def _mean(values: Sequence[float], judgement: Judgement) -> float:
    frames: list[int] = [_frames(window) for window in judgement.windows]
    return pooled(values, frames, "frame mean")


def _frames(window: Window) -> int:
    return max(window.frame_count, 1)


def write_run(run: Run, path: Path) -> None:
    """Whole or not at all. OSError."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(run), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_run(path: Path) -> Run:
    """BadRun if the file is missing or is no run."""
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(_row_from_json(row) for row in fields.pop("rows"))
        return Run(rows=rows, **{**fields, "models": tuple(fields.get("models", ()))})
    except OSError as error:
        raise BadRun(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadRun(f"{path} is no run of `evaluation measure`: {error}") from error


def _row_from_json(fields: dict[str, Any]) -> RunRow:
    lists = {name: tuple(fields[name]) for name in ("window_scores", "window_frames")}
    return RunRow(**{**fields, **lists})


def exit_code(runs: Sequence[Run]) -> int:
    """0 if all rows were scored, 3 if the server was gone for some, else 1."""
    reasons = {reason for run in runs for reason in run.failures()}
    return 3 if NoServer.reason in reasons else 1 if reasons else 0
