"""`zero-shot`: KoNViD-1k over the grid of levers."""

import argparse
from pathlib import Path

from data.rated import load
from evaluation.levers import FRAMES, VIDEO, WHOLE_SECONDS, grid
from evaluation.options import count
from evaluation.paper.command import Command, add_data, add_trained_on, exit_code, show
from evaluation.rated import files_to_test
from evaluation.runs import write_run
from evaluation.tables import write_markdown
from evaluation.tasks.zero_shot import Wish, score_all, zero_shot_table


def _zero_shot_options(parser: argparse.ArgumentParser) -> None:
    add_data(parser, "konvid")
    add_trained_on(parser)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR")
    parser.add_argument("--form", choices=("direct", "regular", "natural"), default="direct")
    parser.add_argument("--frame-pixels", type=count, nargs="+", default=[128 * 128, 224 * 224, 448 * 448], metavar="N")
    parser.add_argument("--fps", type=float, nargs="+", default=[1.0, 2.0], metavar="X")
    parser.add_argument("--max-frames", type=count, nargs="+", default=[16, 64], metavar="N")
    parser.add_argument("--clip-seconds", type=float, nargs="+", default=[4.0, WHOLE_SECONDS], metavar="S")
    parser.add_argument("--modality", nargs="+", choices=(VIDEO, FRAMES), default=[VIDEO, FRAMES])
    parser.add_argument("--wording", nargs="+", choices=("video", "image"), default=["video", "image"])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="zero_shot.md and one run per setting")


def _zero_shot(options: argparse.Namespace) -> int:
    levers = grid(
        options.frame_pixels, options.fps, options.max_frames, options.clip_seconds, options.modality, options.wording
    )
    files = files_to_test(load(options.data_set, options.data), options.limit)
    wish = Wish(
        options.checkpoint, options.data_set, options.trained_on, files, options.data, options.form, logs=options.out
    )
    options.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for place, run in enumerate(score_all(wish, levers)):
        # At once: a grid takes hours, and what is measured is kept whatever happens to the rest.
        write_run(run, options.out / f"setting_{place:03}.json")
        runs.append(run)
    tables = [zero_shot_table(runs)]
    write_markdown(tables, options.out / "zero_shot.md")
    show(tables)
    return exit_code(runs)


ZERO_SHOT = Command("KoNViD-1k by the prompt swap, over the levers", _zero_shot_options, _zero_shot)
