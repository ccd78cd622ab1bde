"""`python -m training COMMAND`: the paper's stages, one after the other.

stage1 -> label -> stage2 -> merge -> plot; regression is the baseline; score asks a trained stage without a server;
ablations runs every row that needs a training of its own; shape counts the true 7B's memory. Torch is imported by the
commands that need it.

Exit codes: 0 all is well, 1 some file got no label, 2 wrong use, 130 stopped.
"""

import asyncio
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from assay.cli.options import with_options
from data import command_line
from data.conversations import load_conversations, save_conversations
from data.rated import pictures
from training.options import (
    Assignments,
    Base,
    Data,
    Files,
    Forms,
    Hub,
    LanguageOnly,
    Out,
    Override,
    Rows,
    StageRun,
    Steps,
    Weights,
    configured,
    say,
    stage_run,
    weights,
)
from training.recipe import ablations as ablation_runs
from training.recipe.settings import Settings

CONFIGS = Path(__file__).parent / "recipe" / "configs"


@with_options(configured, stage_run)
def stage1(chosen: Settings, run: StageRun, data: Data, rows: Rows = None) -> int:
    """Learn the attributes, from RealQA's conversations."""
    from training.recipe import stages

    stages.stage1(run.options(chosen), load_conversations(rows or data))
    return 0


@with_options(configured, stage_run)
def stage2(chosen: Settings, run: StageRun, data: Data, rows: Rows = None) -> int:
    """Learn direct and reasoned scores, mixed, from labelled rows."""
    from training.recipe import stages

    stages.stage2(run.options(chosen), load_conversations(rows or data))
    return 0


@with_options(configured, stage_run)
def regression(chosen: Settings, run: StageRun, data: Data) -> int:
    """Learn scores by a head instead of digits: the paper's baseline."""
    from training.recipe import stages

    stages.regression(run.options(chosen), scored(chosen, data))
    return 0


@with_options(configured, weights)
def label(chosen: Settings, asked: Weights, data: Data, out: Out, files: Files = None) -> int:
    """Have the stage-1 model write the attributes of a rated set, for stage 2."""
    from assay.checkpoint import read_checkpoint
    from assay.engine import Engine
    from training.recipe.labelling import Labeller, labelled
    from training.recipe.merge import merge as merge_adapter

    rated = scored(chosen, data)
    base = asked.find(chosen)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = base
        if asked.adapter:
            checkpoint = Path(temporary) / "stage1"
            merge_adapter(base, asked.adapter, checkpoint, asked.forms, asked.language_only)
        forms = read_checkpoint(asked.forms.parent if asked.forms else checkpoint)
        engine = Engine.load(checkpoint)
        try:
            rows = asyncio.run(labelled(Labeller(engine, forms, chosen.pictures), rated[:files], say))
        finally:
            engine.close()
    save_conversations([replace(row, path=row.path.resolve()) for row in rows], out)
    print(f"{out}: {len(rows)} rows of {len(rows) // 3} files written")
    return 0


@with_options(configured, weights)
def score(
    chosen: Settings,
    asked: Weights,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="LABELS.csv")],
    ask: Literal["direct", "regular", "attributes"] = "direct",
    data_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="another than the config's, for a cross-set row")
    ] = None,
    files: Files = None,
) -> int:
    """Ask a trained stage about a test split without a server, by the engine that is served from."""
    from training.recipe.scoring import Trained, score_files

    trained = Trained(chosen, asked.find(chosen), asked.adapter, asked.forms, asked.language_only)
    tested = test_files(data_set or chosen.data_set, data, chosen)[:files]
    return 1 if score_files(trained, ask, tested, data, out, say) else 0


def ablations(
    data: Data,
    realqa: Annotated[Path, typer.Option(metavar="DIR", help="for the rows of stage 1")],
    rows: Annotated[Path, typer.Option(metavar="DIR", help="what `label` wrote of --data")],
    out: Out,
    data_set: Annotated[str, typer.Option(metavar="NAME", help="of --data and --rows; koniq or ava")] = "koniq",
    only: Annotated[str, typer.Option(metavar="NAME,...", help="of ablations.toml; default: all")] = "",
    launch: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="for training: 'accelerate launch --config_file F'")
    ] = None,
    configs: Annotated[Path, typer.Option(metavar="DIR")] = CONFIGS,
    override: Override = None,
    assignments: Assignments = None,
    base: Base = None,
    forms: Forms = None,
    steps: Steps = None,
    files: Files = None,
) -> int:
    """Train and ask every row that needs a training of its own; goes on where it stopped."""
    more = [part for file in override or () for part in ("--override", str(file.resolve()))]
    more += [part for assignment in assignments or () for part in ("--set", assignment)]
    more += ["--base", base] if base else []
    training = ["--steps", str(steps)] if steps else []
    scoring = [*(["--forms", str(forms)] if forms else []), *(["--files", str(files)] if files else [])]
    inputs = ablation_runs.Inputs(configs, data_set, data, realqa, rows, out, more, training, scoring)
    worst = 0
    for name, ablation in ablation_runs.chosen([each for each in only.split(",") if each]).items():
        for arguments in ablation_runs.commands(name, ablation, inputs):
            say(f"{name}: {arguments[0]}")
            status = _run(arguments, launch if arguments[0] != "score" else None)
            if status > 1 or (status and arguments[0] != "score"):
                return status
            worst = max(worst, status)
    return worst


def _run(arguments: list[str], launch: str | None) -> int:
    """One command, in this process or by a launcher such as `accelerate launch`."""
    if launch is None:
        return main(arguments)
    return subprocess.run([*shlex.split(launch), "-m", "training", *arguments], check=False).returncode


def merge(
    base: Annotated[str, typer.Option(metavar="DIR")],
    adapter: Annotated[Path, typer.Option(metavar="DIR")],
    out: Out,
    forms: Forms = None,
    language_only: LanguageOnly = False,
    hub: Hub = False,
) -> int:
    """Base + adapter -> a checkpoint that is served, proven layer by layer."""
    from training.recipe.base import find_base
    from training.recipe.merge import merge as merge_adapter

    proof = merge_adapter(find_base(base, hub), adapter, out, forms, language_only, say)
    numbers = [f"  {key} = {value}" for key, value in asdict(proof).items()]
    print("\n".join([f"{out}: merged and proven", *numbers]))
    return 0


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="--out directories of stages")],
    out: Annotated[Path, typer.Option(metavar="FILE", help=".png, .svg or .pdf")],
) -> int:
    """The paper's figure 5: loss, NCM and NCM* over the steps."""
    from training.recipe import log

    logs = {run.name: log.read_log(run) for run in runs}
    log.plot(logs, out)
    for name, lines in logs.items():
        print(f"{name}: {len(lines)} steps, first -> last 100 (or halves)")
        for metric, ends in log.summary(lines).items():
            print(f"  {metric}: " + (f"{ends[0]:.3f} -> {ends[1]:.3f}" if ends else "no such rows"))
    print(out)
    return 0


@with_options(configured)
def shape(chosen: Settings) -> int:
    """Count the true 7B's weights and memory; take one step of it where a GPU is."""
    import torch

    from training.recipe import shape as true_shape

    for key, value in asdict(true_shape.shape(chosen.adapter)).items():
        print(f"{key} = {value:,.1f}" if isinstance(value, float) else f"{key} = {value:,}")
    if not torch.cuda.is_available():
        print("no CUDA device here: the step was not run")
        return 0
    batch, tokens = chosen.optimiser.batch, chosen.optimiser.cutoff
    seconds, gib = true_shape.step(chosen.adapter, batch, tokens)
    print(f"one step, {batch} x {tokens} tokens: {seconds:.1f} s, {gib:.1f} GiB")
    return 0


COMMANDS: Mapping[str, Callable[..., int]] = {
    each.__name__: each for each in (stage1, label, stage2, regression, merge, plot, shape, score, ablations)
}

app = command_line.application("RealQA's recipe (arXiv 2503.06141) for Qwen2-VL-7B, and its ablations.")
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; the exit code. A mistake of the user's is one line that names it."""
    try:
        return command_line.run(app, "training", argv)
    except ValueError as wrong:
        print(f"training: {wrong}", file=sys.stderr)
        return 2


def scored(chosen: Settings, root: Path) -> list[tuple[Path, float]]:
    """Pictures of the training split, with scores in [0, 10)."""
    return [(file.path, file.score) for file in pictures(chosen.data_set, root, "train", chosen.held_out_share)]


def test_files(name: str, root: Path, chosen: Settings) -> list[Path]:
    """Pictures of the test split, which is the whole set where none was published and none is held out."""
    share = chosen.held_out_share if name == chosen.data_set else None
    return [file.path for file in pictures(name, root, "test", share)]


def _leave_group() -> None:
    """Leave the group of processes, if there is one: a thread of it that outlives the interpreter aborts it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    status = main()
    if status == 0:
        _leave_group()
    sys.exit(status)
