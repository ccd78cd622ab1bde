"""Which conversations a stage trains on: granularities and order of levels in stage 1, tasks and digits in stage 2."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from assay.attribute import KINDS
from data.conversations import ConversationRow
from training.recipe.example import SCORED_TASKS, split_at_score, with_digits
from training.recipe.settings import Granularity, LevelName, Stage1Settings, Stage2Settings

LEVELS: tuple[LevelName, ...] = ("high", "middle", "low")
TASKS: Mapping[Granularity, tuple[str, ...]] = {
    "attributes": tuple(name for name, kind in KINDS.items() if kind.is_graded),
    "levels": LEVELS,
    "mix": ("mix",),
}
"""The 13 conversation sets of stage 1: 9 + 3 + 1 (RealQA, section 3.1)."""


def stage1_rows(rows: Iterable[ConversationRow], chosen: Stage1Settings) -> list[ConversationRow]:
    """The rows of the chosen granularities; Mix answers in the chosen order of levels.

    ValueError names a conversation set of which there is no row, and a row that belongs to no set.
    """
    rows = list(rows)
    known = {task for tasks in TASKS.values() for task in tasks} | set(SCORED_TASKS)
    strange = sorted({row.task for row in rows} - known)
    if strange:
        raise ValueError(f"unknown tasks {strange}; known are {sorted(known)}")
    wanted = [task for granularity in chosen.granularities for task in TASKS[granularity]]
    chosen_rows = [row for row in rows if row.task in wanted]
    _check_none_empty(chosen_rows, wanted, f"stage 1 with granularities {chosen.granularities}")
    if chosen.order == LEVELS or "mix" not in wanted:
        return chosen_rows
    levels: dict[tuple[Path, str], str] = {(row.path, row.task): row.answer for row in rows if row.task in LEVELS}
    return [_in_order(row, levels, chosen.order) if row.task == "mix" else row for row in chosen_rows]


def stage2_rows(rows: Iterable[ConversationRow], chosen: Stage2Settings) -> list[ConversationRow]:
    """The rows of the chosen tasks, mixed, with labels of the chosen number of digits.

    ValueError names a task of which there is no row, and a row in which no label can be found.
    """
    chosen_rows = [row for row in rows if row.task in chosen.tasks]
    _check_none_empty(chosen_rows, chosen.tasks, f"stage 2 with tasks {chosen.tasks}")
    if chosen.digits == 3:
        for row in chosen_rows:
            split_at_score(row)
        return chosen_rows
    return [with_digits(row, chosen.digits) for row in chosen_rows]


def _in_order(mix: ConversationRow, levels: Mapping[tuple[Path, str], str], order: Sequence[str]) -> ConversationRow:
    # A Mix answer is opaque text; the answers about the same picture's levels are its parts, whatever their wording.
    missing = [level for level in order if (mix.path, level) not in levels]
    if missing:
        raise ValueError(f"{mix.path.name}: no {missing} row to write its Mix answer in the order {tuple(order)}")
    answer = "\n".join(levels[mix.path, level].strip() for level in order)
    return replace(mix, answer=answer)


def _check_none_empty(rows: Sequence[ConversationRow], wanted: Sequence[str], what: str) -> None:
    counts = Counter(row.task for row in rows)
    empty = [task for task in wanted if not counts[task]]
    if empty:
        raise ValueError(f"{what} needs rows of every one of its sets, there are none of {empty}; got {dict(counts)}")
