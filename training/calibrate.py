"""Calibrate: probabilities of grades that mean what they say, and whose likeliest grade is the one to serve.

`python -m training.calibrate --data ../shared/data --checkpoint checkpoints/nano --pictures 300` asks the engine about
held-out photos as they are served, with damage of known strength (half of them: none), in the regular form, fits
one temperature and a bias for each grade of each attribute to the labels by construction, and writes them into
assay.toml. Errors are printed of pictures that were left out of the fit (two halves, each calibrated by the other).
"""

import argparse
import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from assay.attribute import KINDS
from assay.checkpoint import ModelSpec, read_checkpoint
from assay.engine import Engine, EngineOptions
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation
from assay.prompt import answer_form, question
from training.batches import BATCH_SHAPES, Batches, Picture
from training.framing import served
from training.rated import gallery

Numbers = NDArray[np.float64]
_AT_ONCE = 4
_BINS = 10
_STIFFNESS = 0.02
"""What a bias of one costs, in nats a picture: a grade that was hardly ever drawn keeps its own probability."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one attribute."""

    temperature: float
    biases: tuple[float, ...]

    def __call__(self, logs: Numbers) -> Numbers:
        """(pictures, grades) logarithms of probabilities -> probabilities."""
        moved = logs / self.temperature + np.array(self.biases)
        weights = np.exp(moved - moved.max(1, keepdims=True))
        return np.asarray(weights / weights.sum(1, keepdims=True))


def fit(logs: Numbers, grades: NDArray[np.int64]) -> Calibration:
    """The temperature and the biases under which the right grades are likeliest together."""
    count = logs.shape[1]

    def cost(parameters: Numbers) -> float:
        found = Calibration(float(np.exp(parameters[0])), tuple(parameters[1:]))(logs)
        likely = -np.log(found[np.arange(len(grades)), grades] + 1e-9).mean()
        return float(likely + _STIFFNESS * np.square(parameters).sum())

    best = minimize(cost, np.zeros(count + 1), method="L-BFGS-B").x
    biases = best[1:] - best[1:].mean()
    return Calibration(round(float(np.exp(best[0])), 3), tuple(round(float(bias), 3) for bias in biases))


def even(found: Calibration, grades: NDArray[np.int64]) -> Calibration:
    """As if all of its grades were equally frequent: of a fault that few pictures have, nobody would hear otherwise."""
    shares = np.bincount(grades, minlength=len(found.biases)) + 1.0
    biases = np.array(found.biases) - np.log(shares / shares.sum())
    return Calibration(found.temperature, tuple((biases - biases.mean()).round(3).tolist()))


def calibration_error(probabilities: Numbers, grades: NDArray[np.int64]) -> float:
    """Expected calibration error of the likeliest grade, ten bins of equal width (Guo et al., 1706.04599)."""
    sure, right = probabilities.max(1), probabilities.argmax(1) == grades
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    errors = [abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(errors))


def grade_of(picture: Picture, name: str) -> int:
    """Place in the order of grades, by the label."""
    place = getattr(picture.truth, name) - (0.5 if KINDS[name].grades[0] == "1" else 0.0)
    return int(np.clip(np.floor(place), 0, len(KINDS[name].grades) - 1))


async def asked(engine: Engine, checkpoint: ModelSpec, pictures: Sequence[Picture]) -> dict[str, Numbers]:
    """Attribute -> (pictures, grades) logarithms of the probabilities, without any calibration."""
    bare = checkpoint.model_copy(update={"grade_calibration": {}})
    form, gate = answer_form(bare, "regular"), asyncio.Semaphore(_AT_ONCE)

    async def one(picture: Picture) -> dict[str, list[float]]:
        assert picture.native is not None
        clip = Clip((Frame(served(picture.native, bare.pixels)),), is_video=False)
        conversation = Conversation(question(bare, "regular", is_video=False))
        async with gate:
            events = [event async for event in engine.generate(clip, conversation, form)]
        return {
            event.segment: [*event.probabilities.values()]
            for event in events
            if isinstance(event, Chose) and event.segment in KINDS
        }

    every = await asyncio.gather(*map(one, pictures))
    return {name: np.log(np.array([found[name] for found in every]) + 1e-9) for name in every[0]}


def fitted(logs: Mapping[str, Numbers], pictures: Sequence[Picture]) -> dict[str, Calibration]:
    """Attribute -> its calibration; a line is printed for each."""
    fits = {}
    for name, raw in logs.items():
        grades = np.array([grade_of(picture, name) for picture in pictures])
        half = np.arange(len(grades)) % 2 == 0
        crossed = np.empty_like(raw)
        for part in (half, ~half):
            crossed[part] = fit(raw[~part], grades[~part])(raw[part])
        before = np.exp(raw)
        fits[name] = fit(raw, grades)
        if raw.shape[1] == 2:
            fits[name] = even(fits[name], grades)
        exact = [(found.argmax(1) == grades).mean() for found in (before, crossed)]
        near = [(abs(found.argmax(1) - grades) <= 1).mean() for found in (before, crossed)]
        errors = [calibration_error(found, grades) for found in (before, crossed)]
        print(
            f"{name}: calibration error {errors[0]:.3f} -> {errors[1]:.3f}, exact {exact[0]:.2f} -> {exact[1]:.2f}, "
            f"exact or next {near[0]:.2f} -> {near[1]:.2f}, temperature {fits[name].temperature}"
        )
    return fits


def written(settings: str, fits: Mapping[str, Calibration]) -> str:
    """The text of assay.toml with these calibrations in place of what stood there."""
    bare = re.sub(r"\n*\[grade_calibration\.\w+\]\n(?:[^\[\n].*\n)*", "\n", settings).rstrip("\n") + "\n"
    for name, found in fits.items():
        bias = ", ".join(f'"{grade}" = {value}' for grade, value in zip(KINDS[name].grades, found.biases, strict=True))
        bare += f"\n[grade_calibration.{name}]\ntemperature = {found.temperature}\nbias = {{ {bias} }}\n"
    return bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/nano"), help="where the teacher's tables are")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--open", action="store_true", help="of a checkpoint trained with --open: open photos alone")
    options = parser.parse_args()
    checkpoint = read_checkpoint(options.checkpoint)
    held_out = gallery(options.data, options.runs, options.open).held_out
    shapes = [replace(shape, size=1) for shape in BATCH_SHAPES if not shape.is_plain]
    batches = Batches(held_out, options.pictures, 1, shapes, with_native=True)
    pictures = [batches[step][0] for step in range(options.pictures)]
    engine = Engine.load(options.checkpoint, EngineOptions(max_in_flight=_AT_ONCE, threads=1, number_format="stored"))
    logs = asyncio.run(asked(engine, checkpoint, pictures))
    engine.close()
    path = options.checkpoint / "assay.toml"
    path.write_text(written(path.read_text(encoding="utf-8"), fitted(logs, pictures)), encoding="utf-8")


if __name__ == "__main__":
    main()
