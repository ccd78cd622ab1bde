"""The miniature's second half: the merged checkpoint behind the real programs, then every table and figure."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.stack import Stack
from data.rated import load
from evaluation.figures import attributes, beside_claims, scatter
from evaluation.levers import AUTHORS, FRAMES, Levers
from evaluation.measure import Settings
from evaluation.paired import compare
from evaluation.paper.command_ablations import people_of
from evaluation.paper.command_faithfulness import faithful
from evaluation.paper.plan import Plan
from evaluation.paper.stages import Clock
from evaluation.people import people_table
from evaluation.rated import files_to_test, measured
from evaluation.runs import DIRECT, FINAL, REASONED, Run, write_run
from evaluation.sorting_asked import DEFAULT_GENERATOR, answers_of_triton, sorting_table
from evaluation.tables import Table, ablations_table, claimed_tables, compared_table, write_markdown
from evaluation.tasks.ablations import Sources
from evaluation.tasks.ablations import measured as measured_apart
from evaluation.tasks.sorting import draw_numbers, judge
from evaluation.tasks.zero_shot import Wish, score_all, zero_shot_table

TRAINED_ON = "koniq"
PICTURE_SETS = ("koniq", "spaq", "livec", "ava", "tad66k", "realqa")
MADE_UP = "on made-up pictures"
"""Stands in every row and figure: these numbers are of no data set that the paper measured."""
CUT_SHORT = (
    f"Ours: {MADE_UP}; every run is cut to the same few steps, so that two which differ in epochs alone are the same."
)
LEVERS = (AUTHORS, Levers(128 * 128, 1.0, modality=FRAMES))


def evaluated(plan: Plan, clock: Clock) -> tuple[list[Run], list[Table], list[Path]]:
    """All runs, all tables, and where tables and figures lie."""
    runs: list[Run] = []
    tables: list[Table] = []
    with Stack(checkpoint=plan.merged, logs=plan.out / "logs") as stack:
        with clock.stage("score six data sets"):
            runs += [_measured(plan, name, stack.address) for name in PICTURE_SETS]
        with clock.stage("faithfulness"):
            tables += _faithful(plan, stack)
        with clock.stage("sorting toy"):
            tables.append(_sorted(plan, stack))
    with clock.stage("score again with the base"):
        tables[:0] = _comparisons(plan, runs[0])
    with clock.stage("video, by the levers"):
        videos = _videos(plan)
    runs.append(replace(videos[0], setting=f"{videos[0].setting}, {MADE_UP}"))
    tables = [*claimed_tables(runs), *tables, zero_shot_table(videos), *_trained_apart(plan, runs)]
    with clock.stage("tables and figures"):
        paths = _written(plan, runs, tables)
    return runs, tables, paths


def _measured(plan: Plan, name: str, server: str, form: str = "regular", to: str = "") -> Run:
    run = measured(name, TRAINED_ON, plan.data(name), Settings(server, form, 2), plan.files, MADE_UP)
    write_run(run, plan.out / f"{to or name}.json")
    return run


def _faithful(plan: Plan, stack: Stack) -> list[Table]:
    data, out = plan.data(TRAINED_ON), plan.out / "faithfulness"
    _, tables = faithful(
        TRAINED_ON, TRAINED_ON, data, stack.address, stack.addresses, plan.merged, out, limit=min(plan.files, 4)
    )
    return tables


def _sorted(plan: Plan, stack: Stack) -> Table:
    draws = draw_numbers(plan.draws)
    answers = asyncio.run(answers_of_triton(DEFAULT_GENERATOR, stack.addresses["triton_server"], draws))
    return sorting_table("miniature", judge(draws, answers))


def _comparisons(plan: Plan, trained: Run) -> list[Table]:
    """Direct against reasoned, and the base against what was trained from it, on the same files."""
    with Stack(checkpoint=plan.base, logs=plan.out / "logs" / "base") as stack:
        base = _measured(plan, trained.data_set, stack.address, "direct", to="base")
    direct = compare(trained, trained, (DIRECT, REASONED))
    training = compare(base, trained, (FINAL, DIRECT))
    return [
        compared_table(f"{trained.data_set}: direct against CoT, paired", (DIRECT, REASONED), direct),
        compared_table(f"{trained.data_set}: base against stage 2, direct form, paired", ("base", "stage 2"), training),
    ]


def _trained_apart(plan: Plan, runs: Sequence[Run]) -> list[Table]:
    """The grades of what is served against people's, and every row that had a training run of its own."""
    people = people_of(plan.people)
    graded = next(run for run in runs if run.data_set == "realqa")
    sources = Sources(plan.ablations, TRAINED_ON, plan.data(TRAINED_ON), plan.data("realqa"), people, plan.files)
    return [people_table(graded, people), ablations_table(measured_apart(sources), CUT_SHORT)]


def _videos(plan: Plan) -> list[Run]:
    files = files_to_test(load("konvid", plan.data("konvid")), min(plan.files, 3))
    logs = plan.out / "logs" / "video"
    wish = Wish(plan.merged, "konvid", TRAINED_ON, files, plan.data("konvid"), logs=logs)
    runs = list(score_all(wish, LEVERS))
    for place, run in enumerate(runs):
        write_run(run, plan.out / f"konvid_{place}.json")
    return runs


def _written(plan: Plan, runs: Sequence[Run], tables: Sequence[Table]) -> list[Path]:
    write_markdown(tables, plan.out / "tables.md", f"Everything here was measured {MADE_UP} with a tiny model.")
    scatter(runs, plan.out / "scatter.png")
    beside_claims(runs, plan.out / "claims.png", f"ours {MADE_UP}, 95 % interval")
    attributes(next(run for run in runs if run.data_set == "realqa"), plan.out / "figure_2.png")
    found = [plan.out / "tables.md", *sorted(plan.out.glob("*.png")), plan.out / "faithfulness" / "faithfulness.md"]
    return [Path(os.path.relpath(path)) for path in found if path.exists()]
