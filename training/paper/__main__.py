"""`python -m training.paper COMMAND`: the paper's stages, one after the other.

stage1 -> label -> stage2 -> merge -> plot; regression is the baseline; shape counts the true 7B's memory.
"""

import argparse
import asyncio
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from assay.errors import AssayError
from training.paper.settings import Settings, SettingsError, read_settings

CONFIGS = Path(__file__).parent / "configs"


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status; a mistake of the user's is one line that names it."""
    options = _parser().parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
    except (SettingsError, AssayError, ValueError, FileNotFoundError) as wrong:
        print(f"training.paper {options.command}: {wrong}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("training.paper: stopped; the same command goes on from the last saved state", file=sys.stderr)
        return 130
    return 0


def _stage1(options: argparse.Namespace) -> None:
    from training.paper.stages import stage1

    stage1(_task(options), _conversations(options.rows or options.data))


def _stage2(options: argparse.Namespace) -> None:
    from training.paper.stages import stage2

    stage2(_task(options), _conversations(options.rows or options.data))


def _regression(options: argparse.Namespace) -> None:
    from training.paper.stages import regression

    settings = _settings(options)
    regression(_task(options), _scored(settings.data_set, options.data))


def _label(options: argparse.Namespace) -> None:
    from assay.checkpoint import read_checkpoint
    from assay.engine import Engine
    from training.datasets.conversations import Row as Conversation
    from training.datasets.conversations import save_conversations
    from training.paper.base import find_base
    from training.paper.label import Labeller, labelled
    from training.paper.merge import merge

    settings = _settings(options)
    scored = _scored(settings.data_set, options.data)
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
        [Conversation(r.path.resolve(), r.question, r.answer, r.task, r.score) for r in rows], options.out
    )
    print(f"{options.out}: {len(rows)} rows of {len(rows) // 3} files written")


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
    from training.paper.plot import plot, read_log, summary

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


_COMMANDS = {"stage1": _stage1, "label": _label, "stage2": _stage2, "regression": _regression, "merge": _merge,
             "plot": _plot, "shape": _shape}  # fmt: skip


def _task(options: argparse.Namespace):  # type: ignore[no-untyped-def]  # its type would load torch for --help
    from training.paper.base import find_base
    from training.paper.stages import Task

    settings = _settings(options)
    base = find_base(options.base or settings.model.base, options.hub)
    return Task(settings, base, options.out, options.adapter, options.steps, say=_say)


def _settings(options: argparse.Namespace) -> Settings:
    return read_settings(options.config, options.override, options.set)


def _conversations(root: Path):  # type: ignore[no-untyped-def]
    from training.datasets.conversations import load_conversations
    from training.paper.row import Row

    return [Row(row.path, row.question, row.answer, row.task, row.score) for row in load_conversations(root)]


def _scored(name: str, root: Path) -> list[tuple[Path, float]]:
    """Pictures of the training split, with scores in [0, 10)."""
    from training.datasets.rated import load

    files = load(name, root).train
    if not files or any(file.is_video for file in files):
        raise SettingsError(f"{name} has no training split of pictures under {root}")
    return [(file.path, file.score) for file in files]


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.paper", description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        if name == "plot":
            command.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="--out directories of stages")
        if name not in ("plot", "merge"):
            command.add_argument(
                "--config", type=Path, required=True, metavar="FILE.toml", help=f"such as in {CONFIGS}"
            )
            command.add_argument("--override", type=Path, action="append", default=[], metavar="FILE.toml")
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="stage2.digits=2")
        if name in ("stage1", "stage2", "regression"):
            command.add_argument("--steps", type=int, metavar="N", help="end after N steps")
        if name in ("stage1", "stage2"):
            command.add_argument("--rows", type=Path, metavar="DIR", help="conversations, if not under --data")
        if name in ("stage1", "stage2", "regression", "label"):
            command.add_argument("--data", type=Path, required=True, metavar="DIR")
        if name not in ("plot", "shape"):
            command.add_argument("--base", required=name == "merge", metavar="DIR", help="instead of model.base")
            command.add_argument("--adapter", type=Path, required=name == "merge", metavar="DIR")
            command.add_argument("--hub", action="store_true", help="download the base if it is not here")
        if name in ("merge", "label"):
            command.add_argument("--forms", type=Path, metavar="assay.toml", help="if the base brings none")
            command.add_argument("--language-only", action="store_true", help="the adapter has no vision layers")
        if name == "label":
            command.add_argument("--files", type=int, metavar="N", help="only the first N")
        if name != "shape":
            command.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
