"""`make paper-miniature`: the whole paper on a dozen made-up pictures, from data sets to tables and figures.

Stage 1 -> self-label -> stage 2 -> merge -> every ablation -> the real stack with the merged checkpoint -> every table
and figure, with the smallest Qwen2-VL that we have and a few steps. Every stage is a command as docs/paper.md gives it;
commands.log in the output directory has them all with what they said. It shows that every piece runs; its numbers mean
nothing.
"""

import argparse
import io
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from assay.errors import AssayError
from assay.stack import Stack
from data import labels
from data.published import SETS
from evaluation.__main__ import main as evaluation
from evaluation.variants import link_files, write_settings
from tests.data.miniature import realqa_people, write_miniature
from training.__main__ import main as training

PROGRAMS: Mapping[str, Callable[[list[str]], int]] = {"training": training, "evaluation": evaluation}

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "training" / "recipe" / "configs"
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
PICTURE_SETS = ("koniq", "spaq", "livec", "ava", "tad66k", "realqa")
MADE_UP = "on made-up pictures"
"""Stands in every row and figure: these numbers are of no data set that the paper measured."""
CUT_SHORT = (
    f"Ours: {MADE_UP}; every run is cut to the same few steps, so that two which differ in epochs alone are the same."
)
Arguments = Sequence[str | Path | int]


class StageFailed(AssayError):
    """A stage ended with an error; the message has the end of its log."""

    reason = "STAGE_FAILED"


class Miniature:
    """Where everything lies, and how much of it is done."""

    def __init__(self, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.out: Path = options.out.resolve()
        self.weights: Path = options.weights.resolve()
        self.steps, self.files, self.draws = options.steps, options.files, options.draws
        self.tables: list[str] = []
        self._say = say

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Says how many seconds that took which is done inside."""
        self._say(f"{name} …")
        began = time.monotonic()
        yield
        self._say(f"{name}: {time.monotonic() - began:.1f} s")

    def run(self, program: str, *arguments: str | Path | int, shown: bool = False) -> None:
        """`python -m PROGRAM ARGUMENTS`, in this process. StageFailed with the end of what it said."""
        reported = io.StringIO()
        with redirect_stdout(reported), redirect_stderr(reported):
            status = PROGRAMS[program](list(map(str, arguments)))
        command = shlex.join(["python", "-m", program, *map(str, arguments)])
        with (self.out / "commands.log").open("a", encoding="utf-8") as file:
            file.write(f"$ {command}\n{reported.getvalue()}\n")
        # 1: some file was not scored, which every table counts.
        if status not in (0, 1):
            tail = "\n".join(f"    {line}" for line in reported.getvalue().splitlines()[-15:])
            raise StageFailed(f"`{command}` ended with {status}:\n{tail}")
        if shown:
            self.tables.append(reported.getvalue())


def prepare(mini: Miniature) -> None:
    """Data, both stages of training, the merged checkpoint with the paper's prompts, every ablation."""
    (mini.out / "logs").mkdir(parents=True, exist_ok=True)
    with mini.stage("data sets"):
        for name in SETS:
            write_miniature(name, mini.out / "data" / name)
        labels.write(realqa_people(), mini.out / "people.csv")
    write_settings(ROOT / "checkpoints" / "realqa-7b", mini.out / "base", SMALL)
    link_files(mini.weights, mini.out / "base")
    for name, arguments in training_stages(mini).items():
        with mini.stage(name):
            if name == "ablations":
                # Its row "lora" is stage 2 as it was just trained.
                (mini.out / "ablations").mkdir()
                (mini.out / "ablations" / "lora").symlink_to(mini.out / "stage2")
            mini.run("training", *arguments)


def training_stages(mini: Miniature) -> dict[str, Arguments]:
    """Name to the arguments of `python -m training`."""
    out, data = mini.out, mini.out / "data"
    small: Arguments = ("--override", CONFIGS / "miniature.toml", "--base", out / "base")
    realqa: Arguments = ("--config", CONFIGS / "realqa.toml", *small, "--data", data / "realqa")
    koniq: Arguments = ("--config", CONFIGS / "koniq.toml", *small, "--data", data / "koniq")
    read: Arguments = ("--data", data / "koniq", "--realqa", data / "realqa", "--rows", out / "labelled")
    few: Arguments = ("--steps", min(mini.steps, 4), "--files", mini.files)
    curves = [out / "ablations" / name for name in ("lora", "from_scratch")]
    return {
        "stage 1": ("stage1", *realqa, "--out", out / "stage1", "--steps", mini.steps),
        "self-label": (
            *("label", *koniq, "--adapter", out / "stage1", "--files", mini.files, "--out", out / "labelled"),
        ),
        "stage 2": ("stage2", *koniq, "--rows", out / "labelled", "--out", out / "stage2", "--steps", mini.steps),
        "merge": ("merge", "--base", out / "base", "--adapter", out / "stage2", "--out", out / "merged"),
        "ablations": ("ablations", *small, *read, *few, "--out", out / "ablations"),
        "figure 5": ("plot", *curves, "--out", out / "figure_5.png"),
    }


def evaluate(mini: Miniature) -> None:
    """The merged checkpoint behind the real programs, then every table and figure."""
    out, data = mini.out, mini.out / "data"
    with Stack(checkpoint=out / "merged", logs=out / "logs") as stack:
        asked: Arguments = ("--server", stack.address, "--limit", mini.files)
        with mini.stage("score six data sets"):
            for name in PICTURE_SETS:
                measure(mini, name, out / f"{name}.json", *asked)
        with mini.stage("faithfulness"):
            services = {name.replace("_", "-"): stack.addresses[name] for name in ("attribute_extraction", "scoring")}
            addresses = [part for name, address in services.items() for part in (f"--{name}", address)]
            koniq: Arguments = ("--data-set", "koniq", "--data", data / "koniq", "--trained-on", "koniq")
            where: Arguments = ("--checkpoint", out / "merged", "--out", out / "faithfulness")
            few: Arguments = ("--server", stack.address, *addresses, "--limit", min(mini.files, 4))
            mini.run("evaluation", "edited-reasoning", *koniq, *where, *few, shown=True)
        with mini.stage("sorting toy"):
            toy: Arguments = ("--triton", stack.addresses["triton_server"], "--draws", mini.draws)
            mini.run("evaluation", "sorting", *toy, "--model", "miniature", shown=True)
    with mini.stage("score again with the base"), Stack(checkpoint=out / "base", logs=out / "logs" / "base") as stack:
        measure(mini, "koniq", out / "base.json", "--server", stack.address, "--limit", mini.files, "--form", "direct")
    with mini.stage("video, by the levers"):
        grid: Arguments = ("--frame-pixels", 16384, "--fps", 1, "--modality", "frames", "--wording", "video")
        konvid: Arguments = ("--data", data / "konvid", "--trained-on", "koniq", "--checkpoint", out / "merged")
        few = ("--limit", min(mini.files, 3), "--out", out / "konvid")
        mini.run("evaluation", "zero-shot", *konvid, *grid, *few, shown=True)
    with mini.stage("tables and figures"):
        tables(mini)


def measure(mini: Miniature, name: str, run: Path, *more: str | Path | int) -> None:
    read: Arguments = ("--data-set", name, "--data", mini.out / "data" / name, "--trained-on", "koniq")
    mini.run("evaluation", "measure", *read, "--out", run, "--setting", MADE_UP, "--concurrency", 2, *more)


def tables(mini: Miniature) -> None:
    """As a user would make them of the runs, and all of them in one page."""
    out, data = mini.out, mini.out / "data"
    runs = [out / f"{name}.json" for name in PICTURE_SETS]
    both = (out / "base.json", out / "koniq.json", "--readings", "final", "direct")
    mini.run("evaluation", "tables", *runs, out / "konvid" / "setting_000.json", "--out", out / "tables", shown=True)
    mini.run("evaluation", "compare", out / "koniq.json", shown=True)
    mini.run("evaluation", "compare", *both, shown=True)
    mini.run("evaluation", "attributes", out / "realqa.json", "--people", out / "people.csv", shown=True)
    trained: Arguments = ("--runs", out / "ablations", "--data", data / "koniq", "--realqa", data / "realqa")
    against: Arguments = ("--people", out / "people.csv", "--limit", mini.files, "--note", CUT_SHORT)
    mini.run("evaluation", "ablations", *trained, *against, "--out", out / "ablations.md", shown=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every stage with its seconds, the tables, and where everything lies."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.paper_miniature", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="an empty or new directory")
    parser.add_argument("--weights", type=Path, default=ROOT / "checkpoints" / "nano", metavar="DIR")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="of each stage of training (default 8)")
    parser.add_argument(
        "--files", type=int, default=6, metavar="N", help="to label, and of each test split (default 6)"
    )
    parser.add_argument("--draws", type=int, default=4, metavar="N", help="of the sorting toy (default 4)")
    options = parser.parse_args(argv)
    if options.out.is_dir() and any(options.out.iterdir()):
        parser.error(f"--out: {options.out} is not empty; give a new directory")
    began = time.monotonic()
    mini = Miniature(options, lambda line: print(line, flush=True))
    try:
        prepare(mini)
        evaluate(mini)
    except AssayError as failed:
        print(f"paper-miniature: {failed.message}", file=sys.stderr)
        return 2
    print("\n".join(mini.tables))
    print(
        f"\nall stages: {time.monotonic() - began:.0f} s; every command and what it said: {mini.out / 'commands.log'}"
    )
    for path in sorted(path for kind in ("*.png", "*.md", "*/*.md", "tables/*.png") for path in mini.out.glob(kind)):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
