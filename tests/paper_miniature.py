"""`miniature`: the whole paper on a dozen made-up pictures, from the data sets' layouts to tables and figures.

Stage 1 -> self-label -> stage 2 -> merge -> every ablation -> the real stack with the merged checkpoint -> every table
and figure, with the smallest Qwen2-VL that we have and a few steps. It shows that every piece runs; its numbers mean
nothing.
"""

import argparse
from pathlib import Path

from data import labels
from evaluation.options import count
from evaluation.paper.command import Command, exit_code, show
from evaluation.paper.miniature_tables import evaluated
from evaluation.paper.plan import Plan
from evaluation.paper.stages import Clock, run_program
from evaluation.rated import DATA_SETS
from evaluation.variants import link_files, write_settings
from tests.data.miniature import realqa_people, write_miniature

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "training" / "paper" / "configs"
SMALL = {
    "name": "paper-miniature",
    "summary": "RealQA's recipe on made-up pictures with a tiny model; its scores mean nothing.",
    "pixels.min_pixels": 28_224,
    "pixels.max_pixels": 50_176,
    "pixels.video_min_pixels": 12_544,
    "pixels.video_max_pixels": 28_224,
    "clip.max_frames": 8,
    "free.composition_reason.max_tokens": 16,
    "free.eye_catching_reason.max_tokens": 16,
    "free.subject.max_tokens": 8,
    "free.background.max_tokens": 8,
    "free.reasoning.max_tokens": 192,
}
"""What differs from checkpoints/realqa-7b/assay.toml; prompts and forms are the paper's."""


def prepared(plan: Plan, clock: Clock) -> None:
    """Data, both stages of training, the merged checkpoint with the paper's prompts. StageFailed, OSError."""
    (plan.out / "logs").mkdir(parents=True, exist_ok=True)
    with clock.stage("data sets"):
        for name in DATA_SETS:
            write_miniature(name, plan.data(name))
        labels.write(realqa_people(), plan.people)
    write_settings(ROOT / "checkpoints" / "realqa-7b", plan.base, SMALL)
    link_files(plan.weights, plan.base)
    for name, arguments in training_stages(plan).items():
        with clock.stage(name):
            if name == "ablations":
                # Its row "lora" is stage 2 as it was just trained.
                plan.ablations.mkdir()
                (plan.ablations / "lora").symlink_to(plan.out / "stage2")
            run_program(["training.paper", *arguments], plan.log(name), ROOT)


def training_stages(plan: Plan) -> dict[str, list[str | Path]]:
    """Name to the arguments of `python -m training.paper`."""
    small: list[str | Path] = ["--override", CONFIGS / "miniature.toml", "--base", plan.base]
    steps: list[str | Path] = ["--steps", str(plan.steps)]
    realqa: list[str | Path] = ["--config", CONFIGS / "realqa.toml", *small, "--data", plan.data("realqa")]
    koniq: list[str | Path] = ["--config", CONFIGS / "koniq.toml", *small, "--data", plan.data("koniq")]
    stage1, labelled, stage2 = (plan.out / name for name in ("stage1", "labelled", "stage2"))
    read: list[str | Path] = ["--data", plan.data("koniq"), "--realqa", plan.data("realqa"), "--rows", labelled]
    few: list[str | Path] = ["--steps", str(min(plan.steps, 4)), "--files", str(plan.files)]
    drawn: list[str | Path] = ["--out", plan.out / "figure_5.png"]
    return {
        "stage 1": ["stage1", *realqa, "--out", stage1, *steps],
        "self-label": ["label", *koniq, "--adapter", stage1, "--files", str(plan.files), "--out", labelled],
        "stage 2": ["stage2", *koniq, "--rows", labelled, "--out", stage2, *steps],
        "merge": ["merge", "--base", plan.base, "--adapter", stage2, "--out", plan.merged],
        "ablations": ["ablations", *small, *read, *few, "--out", plan.ablations],
        "figure 5": ["plot", *(plan.ablations / name for name in ("lora", "from_scratch")), *drawn],
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty or new directory")
    parser.add_argument("--weights", type=Path, default=ROOT / "checkpoints" / "nano", metavar="DIR")
    parser.add_argument("--steps", type=count, default=8, metavar="N", help="of each stage of training (default 8)")
    parser.add_argument(
        "--files", type=count, default=6, metavar="N", help="to label, and of each test split (default 6)"
    )
    parser.add_argument("--draws", type=count, default=4, metavar="N", help="of the sorting toy (default 4)")


def run(options: argparse.Namespace) -> int:
    """Prints every stage with its seconds, the tables, and where everything lies."""
    out = options.out.resolve()
    if out.is_dir() and any(out.iterdir()):
        options.parser.error(f"--out: {options.out} is not empty; give a new directory")
    plan = Plan(out, options.weights.resolve(), options.steps, options.files, options.draws)
    clock = Clock(lambda line: print(line, flush=True))
    prepared(plan, clock)
    runs, tables, paths = evaluated(plan, clock)
    show(tables)
    print(f"\nall stages: {clock.total_seconds:.0f} s")
    for path in paths:
        print(path)
    return exit_code(runs)


MINIATURE = Command("The whole paper on made-up pictures with a tiny model, in minutes", add_options, run)
