"""`python -m evaluation zero-shot`: KoNViD-1k with a checkpoint that never saw a video, once for each setting.

Budgets are the checkpoint's, so every setting has a variant of assay.toml and a stack of its own. How clips become one
score costs nothing to vary and is read from the same run.
"""

import asyncio
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image

from assay.checkpoint import FormName, read_checkpoint
from assay.client import AsyncClient, Judgement, Model
from assay.errors import AssayError
from assay.frame import Frame
from assay.stack import Stack
from data.rated import RatedFile, load
from evaluation.claims import GROUPS, KONVID_BASE_SRCC
from evaluation.edited import decoded
from evaluation.measure import Failed, MeasureOptions, failed
from evaluation.options import Limit, SetName, SetRoot, TrainedOn
from evaluation.paired import compare
from evaluation.rated import files_to_test, label, run_of
from evaluation.runs import FINAL, POOLINGS, Run, RunRow, exit_code, pooled, write_run
from evaluation.tables import COUNTS, ReportTable, coefficient, correlated, show, write_markdown
from evaluation.variants import AUTHORS, FRAMES, VIDEO, WHOLE_SECONDS, Levers, grid, write_variant
from gateway.decode.jobs import DecodePool
from gateway.decode.spec import DecodeSpec, Target

SERVED_POOLING = "frame mean"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What all settings have in common."""

    checkpoint: Path
    data_set: str
    trained_on: str
    files: Sequence[RatedFile]
    data: Path
    form: str = "direct"
    concurrency: int = 2
    logs: Path | None = None


def score_all(sweep: Sweep, settings: Iterable[Levers]) -> Iterator[Run]:
    """One run per setting, as soon as it is done; each with a stack of its own, one after the other."""
    for levers in settings:
        yield _score(sweep, levers)


def _score(sweep: Sweep, levers: Levers) -> Run:
    changes = levers.changes(read_checkpoint(sweep.checkpoint))
    with TemporaryDirectory(prefix="assay-variant-") as directory:
        variant = Path(directory) / sweep.checkpoint.name
        write_variant(sweep.checkpoint, variant, changes)
        with Stack(checkpoint=variant, logs=sweep.logs) as stack:
            settings = MeasureOptions(stack.address, sweep.form, sweep.concurrency)
            return asyncio.run(_run(sweep, levers, settings))


async def _run(sweep: Sweep, levers: Levers, settings: MeasureOptions) -> Run:
    if levers.modality != FRAMES:
        return await run_of(sweep.data_set, sweep.trained_on, sweep.files, sweep.data, settings, str(levers))
    async with AsyncClient(settings.server) as client, DecodePool(workers=1) as decoder:
        rows: list[RunRow] = []
        models: dict[Model, dict[str, str]] = {}
        for file in sweep.files:
            row, judgements = await scored_as_frames(
                client, decoder, levers, file, label(file.path, sweep.data), sweep.form
            )
            rows.append(row)
            models |= {judgement.model: asdict(judgement.model) for judgement in judgements}
    return Run(sweep.data_set, sweep.trained_on, sweep.form, tuple(rows), tuple(models.values()), str(levers))


async def scored_as_frames(
    client: AsyncClient, decoder: DecodePool, levers: Levers, file: RatedFile, name: str, form: str
) -> tuple[RunRow, list[Judgement]]:
    """Every sampled frame scored as a picture; one that fails fails the video."""
    target = Target(28 * 28, levers.frame_pixels)
    spec = DecodeSpec(is_video=True, target=target, frames_per_second=levers.frames_per_second)
    try:
        frames = await decoded(decoder, spec, await asyncio.to_thread(file.path.read_bytes))
    except (AssayError, OSError) as error:
        return _failed(name, file, failed(error)), []
    outcomes = await client.score_many([partial(_png, frame) for frame in frames], form=form)
    if errors := [each for each in outcomes if not isinstance(each, Judgement)]:
        return _failed(name, file, failed(errors[0])), []
    judgements = [each for each in outcomes if isinstance(each, Judgement)]
    scores = tuple(judgement.score.value for judgement in judgements)
    ones = (1,) * len(scores)
    return RunRow(name, file.mos, {FINAL: pooled(scores, ones, SERVED_POOLING)}, scores, ones), judgements


def _failed(name: str, file: RatedFile, failed: Failed) -> RunRow:
    return RunRow(name, file.mos, reason=failed.reason, message=failed.message)


def _png(frame: Frame) -> bytes:
    """Without loss, and already in the size that the model takes."""
    target = io.BytesIO()
    Image.fromarray(frame.pixels).save(target, "PNG")
    return target.getvalue()


def repooled(run: Run, how: str) -> Run:
    """The same clips under another pooling."""
    rows = tuple(
        replace(row, scores={FINAL: pooled(row.window_scores, row.window_frames, how)}) if row.window_scores else row
        for row in run.rows
    )
    return replace(run, rows=rows)


def zero_shot_table(runs: Sequence[Run]) -> ReportTable:
    """Every setting under every pooling, and its paired difference to the authors' setting as it is served."""
    base = next((run for run in runs if run.setting == str(AUTHORS)), None)
    rows = tuple(_row(run, how, base) for run in runs for how in POOLINGS)
    claim = GROUPS["Video zero-shot (KoNViD-1k by the prompt swap)"][0].srcc
    head = ("setting", "pooling", *COUNTS, "SRCC", "PLCC", "SRCC - authors' setting")
    notes = (
        f"The paper claims SRCC {claim:.3f} (base model {KONVID_BASE_SRCC:.3f}) and names none of these settings.",
        f'"{AUTHORS}" is what its training framework does unless set otherwise; "{SERVED_POOLING}" is what we serve.',
    )
    return ReportTable("KoNViD-1k zero-shot, by the levers that the authors left", head, rows, notes)


def _row(run: Run, how: str, base: Run | None) -> tuple[str, ...]:
    mine = repooled(run, how)
    counts = mine.counts()
    gain = "-"
    if base is not None and (run.setting, how) != (base.setting, SERVED_POOLING):
        gain = coefficient(compare(base, mine, (FINAL, FINAL)).differences[0].change)
    numbers = (correlated(mine, "SRCC"), correlated(mine, "PLCC"))
    return (run.setting, how, *(str(counts[name]) for name in COUNTS), *numbers, gain)


Numbers = Annotated[str, typer.Option(metavar="N,N,...")]


def command(
    data: SetRoot,
    trained_on: TrainedOn,
    checkpoint: Annotated[Path, typer.Option(metavar="DIR")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="zero_shot.md and one run per setting")],
    data_set: SetName = "konvid",
    form: FormName = "direct",
    limit: Limit = None,
    frame_pixels: Numbers = "16384,50176,200704",
    fps: Numbers = "1,2",
    max_frames: Numbers = "16,64",
    clip_seconds: Numbers = f"4,{WHOLE_SECONDS:g}",
    modality: Annotated[str, typer.Option(metavar="NAME,...")] = f"{VIDEO},{FRAMES}",
    wording: Annotated[str, typer.Option(metavar="NAME,...")] = f"{VIDEO},image",
) -> int:
    """KoNViD-1k by the prompt swap, over the levers: the authors' setting, then every combination."""
    levers = grid(
        [int(each) for each in _numbers(frame_pixels)],
        _numbers(fps),
        [int(each) for each in _numbers(max_frames)],
        _numbers(clip_seconds),
        modality.split(","),
        wording.split(","),
    )
    files = files_to_test(load(data_set, data), limit)
    sweep = Sweep(checkpoint, data_set, trained_on, files, data, form, logs=out)
    out.mkdir(parents=True, exist_ok=True)
    runs = []
    for place, run in enumerate(score_all(sweep, levers)):
        # At once: a grid takes hours, and what is measured is written whatever happens to the rest.
        write_run(run, out / f"setting_{place:03}.json")
        runs.append(run)
    tables = [zero_shot_table(runs)]
    write_markdown(tables, out / "zero_shot.md")
    show(tables)
    return exit_code(runs)


def _numbers(text: str) -> list[float]:
    """BadParameter if one of them is no number above 0."""
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = [0.0]
    if min(numbers) <= 0:
        raise typer.BadParameter(f"{text!r} is no list of numbers above 0 such as 1,2")
    return numbers
