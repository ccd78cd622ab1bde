"""`python -m tests.rehearsal` (`make rehearse-7b`): the 7B's whole way with random weights of its true shape.

Base and adapter are written, merged by `assay checkpoint prepare realqa-7b`, served by `assay up` (the real Triton) and
asked by `assay score` about the demo's photo and video in every form. Memory and disk are checked first; where the
true depth does not fit, the largest that does is taken and said. Random words end in scores where the form leads to
them; prose ends in UNREADABLE_VERDICT.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from tokenizers import Tokenizer

from assay.errors import AssayError, CheckpointError
from assay.model_memory import available_memory_bytes
from assay.rpc.environment import inherited
from assay.weights import read_json
from tests.rehearsal.load import load_table
from tests.rehearsal.weights import (
    RehearsalShape,
    base_bytes,
    miniature_shape,
    true_shape,
    write_adapter,
    write_base,
)
from training.pieces import QWEN_TOKENIZER, fetch
from training.recipe.weight_files import free_disk_bytes

ROOT = Path(__file__).parents[2]
TEXT_LAYERS, VISION_LAYERS = 28, 32
FORMS = ("direct", "regular", "natural")
_COMPUTED = {"assay": 2, "vllm": 1}
"""Of bfloat16 weights our engine computes in float32, vLLM as they are."""
_OVERHEAD_BYTES = {"assay": 3 << 30, "vllm": 9 << 29}
"""Of the programs, the KV cache and activations."""
_PATIENT = {
    "TRITON_SERVER_MAX_IN_FLIGHT": "2",
    "TRITON_SERVER_START_TIMEOUT_SECONDS": "3600",
    "TRITON_SERVER_CANARY_TIMEOUT_SECONDS": "3600",
    "TRITON_SERVER_WARM_UP": "false",
    "SCORING_IDLE_TIMEOUT_SECONDS": "600",
    "SCORING_TRANSCRIPT_TIMEOUT_SECONDS": "3600",
    "ATTRIBUTE_EXTRACTION_IDLE_TIMEOUT_SECONDS": "600",
}
"""A forward takes seconds where there is no GPU."""


@dataclass(slots=True)
class RehearsalStage:
    """One line of the table."""

    name: str
    seconds: float = 0.0
    peak_bytes: int = 0
    """Resident in this process and its children together, in samples."""


def main(
    depth: Annotated[
        int, typer.Option(min=0, max=TEXT_LAYERS, help="Layers of the language model; 0: as many as fit.")
    ] = 0,
    vision_depth: Annotated[int, typer.Option(min=1, max=VISION_LAYERS, help="Layers of the tower.")] = VISION_LAYERS,
    miniature: Annotated[bool, typer.Option("--miniature", help="A few megabytes, in seconds.")] = False,
    variant: Annotated[str, typer.Option(help="Of checkpoints/realqa-7b.")] = "straight",
    forms: Annotated[str, typer.Option(metavar="FORM,…", help="Asked one after the other.")] = ",".join(FORMS),
    files: Annotated[str, typer.Option(metavar="FILE,…", help="What is scored.")] = "demo/photo.jpg,demo/video.mp4",
    engine: Annotated[
        str, typer.Option(help="assay, or vllm after `make vllm`: in bfloat16, so that more fits.")
    ] = "assay",
    work: Annotated[Path, typer.Option(metavar="DIR", help="For the weights, which are removed at the end.")] = ROOT
    / "runs",
    keep: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the weights here instead, and go on from those that are there."),
    ] = None,
    load: Annotated[
        str, typer.Option(metavar="N,…", help="Then score pictures and clips, so many in flight; 1,8,64 on a GPU.")
    ] = "",
    until: Annotated[str, typer.Option(help="merge: serve nothing, so that less memory is needed.")] = "score",
) -> None:
    """Prints seconds and memory of each stage; exit code 1 if a stage fails."""
    if until not in ("merge", "score"):
        raise typer.BadParameter(f"there is no stage {until!r}; there are merge, score", param_hint="--until")
    stages: list[RehearsalStage] = []
    levels = [int(level) for level in load.split(",") if level]
    measured: list[str] = []
    try:
        with _directory(work, keep) as directory:
            shape = _shape(depth, vision_depth, miniature, directory, engine if until == "score" else None)
            _weights(shape, directory, variant, stages)
            if until == "score":
                _serve(directory, engine, forms.split(","), files.split(","), stages, levels, measured)
    except (AssayError, subprocess.CalledProcessError) as failed:
        print(f"rehearsal: {failed}", file=sys.stderr)
        raise typer.Exit(1) from failed
    print(f"\n{'stage':<30}{'seconds':>9}{'memory, GB':>12}")
    for stage in stages:
        print(f"{stage.name:<30}{stage.seconds:>9.1f}{stage.peak_bytes / 1e9:>12.2f}")
    print("", *measured, sep="\n")


@contextmanager
def _directory(work: Path, keep: Path | None) -> Iterator[Path]:
    """Where the weights go: one that is removed, or the one that was named."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        try:
            yield keep
        finally:
            _say(f"what is there stays in {keep}; run again with --keep {keep} to go on from it")
        return
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=work) as folder:
        yield Path(folder)


def _weights(shape: RehearsalShape, directory: Path, variant: str, stages: list[RehearsalStage]) -> None:
    """Base, adapter and the merged checkpoint, but for what an earlier run has finished. CheckpointError if that is of
    another shape."""
    config = directory / "merged" / "config.json"
    # Written last.
    if (directory / "merged" / "sources.lock.json").is_file():
        layers, wanted = read_json(config)["num_hidden_layers"], shape.config["num_hidden_layers"]
        if layers != wanted:
            raise CheckpointError(f"{config} has {layers} layers, not {wanted}; say --depth {layers}, or remove it")
        _say(f"going on from {directory / 'merged'}")
        return
    for name, write in (("base", partial(write_base, say=_say)), ("adapter", write_adapter)):
        if not (directory / name).is_dir():
            with _stage(f"write {name}", stages):
                shutil.rmtree(part := directory / f".{name}.part", ignore_errors=True)
                write(shape, part)
                part.rename(directory / name)
    shutil.rmtree(directory / "merged", ignore_errors=True)
    with _stage("merge and prove", stages):
        _prepare(directory, variant)
    shutil.rmtree(directory / "base")


def _shape(depth: int, vision_depth: int, miniature: bool, directory: Path, engine: str | None) -> RehearsalShape:
    """`engine`: that is to serve it; None if nothing is served, and only the disk has to do.

    CheckpointError if not even one layer fits this machine, or an engine that there is not.
    """
    if engine not in (None, *_COMPUTED):
        raise CheckpointError(f"there is no engine {engine!r}; there are {', '.join(_COMPUTED)}")
    if miniature:
        tokenizer = ROOT / "checkpoints/nano/tokenizer.json"
        ids = {
            added.content: number
            for number, added in Tokenizer.from_file(str(tokenizer)).get_added_tokens_decoder().items()
        }
        return miniature_shape(tokenizer, ids)
    tokenizer = fetch(QWEN_TOKENIZER, ROOT / "runs/pieces")
    shapes = [true_shape(tokenizer, layers, vision_depth) for layers in range(1, (depth or TEXT_LAYERS) + 1)]
    memory, disk = available_memory_bytes(), free_disk_bytes(directory) + _size_bytes(directory)
    fitting = [shape for shape in shapes if _fits(base_bytes(shape.config), engine, memory, disk)]
    if not fitting or (depth and len(fitting) < depth):
        needed = base_bytes(shapes[-1 if depth else 0].config)
        raise CheckpointError(
            f"{depth or 1} layers need {_memory_bytes(needed, engine) / 1e9:.1f} GB of memory and "
            f"{2 * needed / 1e9:.1f} GB of disk; {memory / 1e9:.1f} and {disk / 1e9:.1f} GB are free"
        )
    layers = len(fitting)
    _say(
        f"{layers} of {TEXT_LAYERS} layers and {vision_depth} of {VISION_LAYERS} of the tower, "
        f"{base_bytes(fitting[-1].config) / 1e9:.1f} GB of weights; {memory / 1e9:.1f} GB of memory and "
        f"{disk / 1e9:.1f} GB of disk are free"
    )
    return fitting[-1]


def _size_bytes(directory: Path) -> int:
    """Of what an earlier run has left."""
    return sum(file.stat().st_size for file in directory.rglob("*.safetensors"))


def _memory_bytes(weights_bytes: int, engine: str | None) -> int:
    """While it is served; of merging, which `assay checkpoint prepare` checks by itself, none."""
    return weights_bytes * _COMPUTED[engine] + _OVERHEAD_BYTES[engine] if engine else 0


def _fits(weights_bytes: int, engine: str | None, memory_bytes: int, disk_bytes: int) -> bool:
    """On the disk the base and what is merged, side by side."""
    return _memory_bytes(weights_bytes, engine) <= memory_bytes and 2.1 * weights_bytes <= disk_bytes


def _prepare(directory: Path, variant: str) -> None:
    parts = ("--base", directory / "base", "--adapter", directory / "adapter", "--out", directory / "merged")
    _assay("checkpoint", "prepare", "realqa-7b", *map(str, parts), "--variant", variant)


def _serve(
    directory: Path,
    engine: str,
    forms: Sequence[str],
    files: Sequence[str],
    stages: list[RehearsalStage],
    levels: Sequence[int],
    measured: list[str],
) -> None:
    command = [sys.executable, "-m", "assay.cli", "up", "--address", "127.0.0.1:0", "--http-address", ""]
    places = ["--checkpoint", str(directory / "merged"), "--logs", str(ROOT / "runs/logs-rehearsal")]
    environment = {**_PATIENT, **_room(levels), **inherited([""]), "TRITON_SERVER_ENGINE": engine}
    with _stage("start", stages):
        stack = subprocess.Popen([*command, *places], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        address = _address(stack)
    try:
        for form in forms:
            for file in files:
                with _stage(f"{form}, {Path(file).name}", stages):
                    _assay("score", "--form", form, "--server", address, file, expected=(0, 1))
        if levels:
            with _stage("load", stages):
                measured += asyncio.run(load_table(address, levels))
    finally:
        stack.terminate()
        stack.wait()


def _room(levels: Sequence[int]) -> dict[str, str]:
    """Settings under which the highest level is taken in at once."""
    most = max(levels, default=0)
    if most <= 8:
        return {}
    programs = ("TRITON_SERVER", "GATEWAY", "SCORING", "ATTRIBUTE_EXTRACTION")
    limits = {f"{program}_MAX_IN_FLIGHT": str(most) for program in programs}
    # Each file is asked about by two services.
    return limits | {"TRITON_SERVER_MAX_WAITING": str(most), "GATEWAY_DECODE_MAX_PROCESSES": str(max(most, 32))}


def _address(stack: "subprocess.Popen[str]") -> str:
    """The gateway's, once all programs are ready. CheckpointError if they do not get there; the log said why."""
    assert stack.stdout is not None
    for line in stack.stdout:
        print(line, end="", flush=True)
        if line.startswith("gateway"):
            return line.split()[1]
    raise CheckpointError("the stack did not start; its last words are above")


def _assay(*arguments: str, expected: Sequence[int] = (0,)) -> None:
    """One command of ours. subprocess.CalledProcessError unless it ends as expected: 1 is a file without a score."""
    print("$ assay", *arguments, flush=True)
    done = subprocess.run([sys.executable, "-m", "assay.cli", *arguments], cwd=ROOT, check=False)
    if done.returncode not in expected:
        raise subprocess.CalledProcessError(done.returncode, ["assay", *arguments])


@contextmanager
def _stage(name: str, stages: list[RehearsalStage]) -> Iterator[None]:
    stage, done = RehearsalStage(name), threading.Event()
    stages.append(stage)
    sampler = threading.Thread(target=_sample, args=(stage, done.wait), daemon=True)
    sampler.start()
    began = time.monotonic()
    try:
        yield
    finally:
        stage.seconds = time.monotonic() - began
        done.set()
        sampler.join()
        print(f"-- {name}: {stage.seconds:.1f} s, {stage.peak_bytes / 1e9:.2f} GB", flush=True)


def _sample(stage: RehearsalStage, wait: Callable[[float], bool]) -> None:
    """Memory that is in no file counts: the kernel takes back what is only mapped."""
    here = psutil.Process(os.getpid())
    while True:
        resident = 0
        for process in (here, *here.children(recursive=True)):
            try:
                memory = process.memory_info()
                resident += memory.rss - memory.shared
            except psutil.NoSuchProcess:
                continue
        stage.peak_bytes = max(stage.peak_bytes, resident)
        if wait(0.2):
            return


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
