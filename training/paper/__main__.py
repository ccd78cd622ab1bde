"""`python -m training.paper COMMAND`: the paper's stages, one after the other.

stage1 -> label -> stage2 -> merge -> plot; regression is the baseline; score asks a trained stage without a server;
ablations runs every row that needs a training of its own; shape counts the true 7B's memory.
"""

import argparse
import asyncio
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assay.errors import AssayError
from training.paper.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from data.rated import RatedFile

CONFIGS = Path(__file__).parent / "configs"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status; a mistake of the user's is one line that names it. 1: some files got no label."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options) or 0
    except (SettingsError, AssayError, ValueError, FileNotFoundError) as wrong:
        print(f"training.paper {options.command}: {wrong}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training.paper: stopped; the same command goes on from the last saved state", file=sys.stderr)
        return 130


def _stage1(options: argparse.Namespace) -> None:
    from training.paper.stages import stage1

    stage1(_task(options), _conversations(options.rows or options.data))


def _stage2(options: argparse.Namespace) -> None:
    from training.paper.stages import stage2

    stage2(_task(options), _conversations(options.rows or options.data))


def _regression(options: argparse.Namespace) -> None:
    from training.paper.stages import regression

    settings = _settings(options)
    regression(_task(options), _scored(settings, options.data))


def _label(options: argparse.Namespace) -> None:
    from assay.checkpoint import read_checkpoint
    from assay.engine import Engine
    from data.conversations import ConversationRow, save_conversations
    from training.paper.base import find_base
    from training.paper.label import Labeller, labelled
    from training.paper.merge import merge

    settings = _settings(options)
    scored = _scored(settings, options.data)
    base = find_base(options.base or settings.model.base, options.hub)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = base
        if options.adapter:
            checkpoint = Path(temporary) / "stage1"
            merge(base, options.adapter, checkpoint, options.forms, options.language_only)
        forms = read_checkpoint(options.forms.parent if options.forms else checkpoint)
        engine = Engine.load(checkpoint)
        try:
            rows = asyncio.run(labelled(Labeller(engine, forms, settings.pictures), scored[: options.files], _say))
        finally:
            engine.close()
    save_conversations(
        [ConversationRow(r.path.resolve(), r.question, r.answer, r.task, r.score) for r in rows], options.out
    )
    print(f"{options.out}: {len(rows)} rows of {len(rows) // 3} files written")


def _score(options: argparse.Namespace) -> int:
    from training.paper.base import find_base
    from training.paper.scoring import Trained, score_files

    settings = _settings(options)
    base = find_base(options.base or settings.model.base, options.hub)
    trained = Trained(settings, base, options.adapter, options.forms, options.language_only)
    files = _test_files(options.data_set or settings.data_set, options.data, settings)[: options.files]
    return 1 if score_files(trained, options.ask, files, options.data, options.out, _say) else 0


def _ablations(options: argparse.Namespace) -> int:
    from training.paper import ablations

    more = [part for file in options.override for part in ("--override", str(file.resolve()))]
    more += [part for assignment in options.set for part in ("--set", assignment)]
    more += ["--base", options.base] if options.base else []
    inputs = ablations.Inputs(
        options.configs,
        options.data_set,
        options.data,
        options.realqa,
        options.rows,
        options.out,
        more,
        ["--steps", str(options.steps)] if options.steps else [],
        [*(["--forms", str(options.forms)] if options.forms else []),
         *(["--files", str(options.files)] if options.files else [])],
    )  # fmt: skip
    worst = 0
    for name, ablation in ablations.chosen(options.only).items():
        for arguments in ablations.commands(name, ablation, inputs):
            _say(f"{name}: {arguments[0]}")
            status = _run(arguments, options.launch if arguments[0] != "score" else None)
            if status > 1 or (status and arguments[0] != "score"):
                return status
            worst = max(worst, status)
    return worst


def _run(arguments: list[str], launch: str | None) -> int:
    """One command, in this process or by a launcher such as `accelerate launch`."""
    if launch is None:
        return main(arguments)
    return subprocess.run([*shlex.split(launch), "-m", "training.paper", *arguments], check=False).returncode


def _merge(options: argparse.Namespace) -> None:
    from training.paper.base import find_base
    from training.paper.merge import merge

    proof = merge(find_base(options.base, options.hub), options.adapter, options.out, options.forms,
                  options.language_only)  # fmt: skip
    print(
        "\n".join(
            [f"{options.out}: merged and proven", *(f"  {key} = {value}" for key, value in asdict(proof).items())]
        )
    )


def _plot(options: argparse.Namespace) -> None:
    from training.paper.log import read_log, summary
    from training.paper.plot import plot

    runs = {run.name: read_log(run) for run in options.runs}
    plot(runs, options.out)
    for name, log in runs.items():
        print(f"{name}: {len(log)} steps, first -> last 100 (or halves)")
        for metric, ends in summary(log).items():
            print(f"  {metric}: " + (f"{ends[0]:.3f} -> {ends[1]:.3f}" if ends else "no such rows"))
    print(options.out)


def _shape(options: argparse.Namespace) -> None:
    import torch

    from training.paper.shape import shape, step

    settings = _settings(options)
    for key, value in asdict(shape(settings.adapter)).items():
        print(f"{key} = {value:,.1f}" if isinstance(value, float) else f"{key} = {value:,}")
    if not torch.cuda.is_available():
        print("no CUDA device here: the step was not run")
        return
    seconds, gib = step(settings.adapter, settings.optimiser.batch, settings.optimiser.cutoff)
    print(f"one step, {settings.optimiser.batch} x {settings.optimiser.cutoff} tokens: {seconds:.1f} s, {gib:.1f} GiB")


_COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
             "stage1": _stage1, "label": _label, "stage2": _stage2, "regression": _regression, "merge": _merge,
             "plot": _plot, "shape": _shape, "score": _score, "ablations": _ablations}  # fmt: skip
_WITH_SETTINGS = ("stage1", "stage2", "regression", "label", "score", "shape")
_TRAINING = ("stage1", "stage2", "regression")


def _task(options: argparse.Namespace):  # type: ignore[no-untyped-def]  # its type would load torch for --help
    from training.paper.base import find_base
    from training.paper.stages import Task

    settings = _settings(options)
    base = find_base(options.base or settings.model.base, options.hub)
    return Task(settings, base, options.out, options.adapter, options.steps, say=_say)


def _settings(options: argparse.Namespace) -> Settings:
    return read_settings(options.config, options.override, options.set)


def _conversations(root: Path):  # type: ignore[no-untyped-def]
    from data.conversations import load_conversations
    from training.paper.row import Row

    return [Row(row.path, row.question, row.answer, row.task, row.score) for row in load_conversations(root)]


def _scored(settings: Settings, root: Path) -> list[tuple[Path, float]]:
    """Pictures of the training split, with scores in [0, 10)."""
    return [(file.path, file.score) for file in _pictures(settings.data_set, root, settings, "train")]


def _test_files(name: str, root: Path, settings: Settings) -> list[Path]:
    """Pictures of the test split, which is the whole set where none was published and none is held out."""
    return [file.path for file in _pictures(name, root, settings, "test")]


def _pictures(name: str, root: Path, settings: Settings, part: Literal["train", "test"]) -> "tuple[RatedFile, ...]":
    from data.rated import held_out, load

    data_set = load(name, root)
    if settings.held_out_share and name == settings.data_set:
        data_set = held_out(data_set, settings.held_out_share)
    files = data_set.train if part == "train" else data_set.test
    if not files or any(file.is_video for file in files):
        raise SettingsError(f"{name} has no {part} split of pictures under {root}")
    return files


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.paper", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        if name == "plot":
            command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="--out directories of stages")
        if name in _WITH_SETTINGS:
            command.add_argument(
                "--config", type=Path, required=True, metavar="FILE.toml", help=f"such as in {CONFIGS}"
            )
        if name in (*_WITH_SETTINGS, "ablations"):
            command.add_argument("--override", type=Path, action="append", default=[], metavar="FILE.toml")
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="stage2.digits=2")
        if name in (*_TRAINING, "ablations"):
            command.add_argument("--steps", type=int, metavar="N", help="end after N steps")
        if name in ("stage1", "stage2"):
            command.add_argument("--rows", type=Path, metavar="DIR", help="conversations, if not under --data")
        if name in (*_TRAINING, "label", "score", "ablations"):
            command.add_argument("--data", type=Path, required=True, metavar="DIR")
        if name not in ("plot", "shape"):
            command.add_argument("--base", required=name == "merge", metavar="DIR", help="instead of model.base")
        if name not in ("plot", "shape", "ablations"):
            command.add_argument("--adapter", type=Path, required=name == "merge", metavar="DIR")
            command.add_argument("--hub", action="store_true", help="download the base if it is not here")
        if name in ("merge", "label", "score", "ablations"):
            command.add_argument("--forms", type=Path, metavar="assay.toml", help="if the base brings none")
        if name in ("merge", "label", "score"):
            command.add_argument("--language-only", action="store_true", help="the adapter has no vision layers")
        if name in ("label", "score", "ablations"):
            command.add_argument("--files", type=int, metavar="N", help="only the first N")
        if name == "score":
            command.add_argument("--ask", choices=("direct", "regular", "attributes"), default="direct")
            command.add_argument("--data-set", metavar="NAME", help="another than the config's, for a cross-set row")
        if name == "ablations":
            _add_ablations(command)
        if name != "shape":
            command.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


def _add_ablations(command: argparse.ArgumentParser) -> None:
    command.add_argument("--configs", type=Path, default=CONFIGS, metavar="DIR", help="default: %(default)s")
    command.add_argument("--data-set", default="koniq", metavar="NAME", help="of --data and --rows; koniq or ava")
    command.add_argument("--realqa", type=Path, required=True, metavar="DIR", help="for the rows of stage 1")
    command.add_argument("--rows", type=Path, required=True, metavar="DIR", help="what `label` wrote of --data")
    command.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of ablations.toml; default: all")
    command.add_argument("--launch", metavar="COMMAND", help="for training: 'accelerate launch --config_file F'")


def _part() -> None:
    """Leave the group of processes, if there is one: a thread of it that outlives the interpreter aborts it."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()


if __name__ == "__main__":
    status = main()
    if status == 0:
        _part()
    sys.exit(status)
