"""Stages: each puts model, examples and objective together, trains, and writes what came out."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.qwen2_vl.patches import PatchLayout
from assay.qwen2_vl.tokenizer import TextTokenizer
from data.conversations import ConversationRow
from training.recipe.adapter import with_adapter, with_new_adapter
from training.recipe.base import load_base, random_base, without_weights
from training.recipe.encoding import Encoder
from training.recipe.example import direct_row, example_of
from training.recipe.mixture import stage1_rows, stage2_rows
from training.recipe.objective import NextToken, Objective
from training.recipe.regression import HEAD, SquaredError, regressor_of
from training.recipe.run import TrainingRun
from training.recipe.settings import RecipeError, Settings
from training.recipe.trainer import train


@dataclass(frozen=True, slots=True)
class StageOptions:
    """Where a stage reads and writes."""

    settings: Settings
    base: Path
    out: Path
    adapter: Path | None = None
    """To go on training; a fresh one if None."""
    stop_after: int | None = None
    pause_after: int | None = None
    say: Callable[[str], None] = print


def stage1(task: StageOptions, rows: Sequence[ConversationRow]) -> Path:
    """Attributes. Writes the adapter (or, from scratch, the whole model) into task.out."""
    return _written(task, stage1_rows(rows, task.settings.stage1), task.settings.stage1.epochs)


def stage2(task: StageOptions, rows: Sequence[ConversationRow]) -> Path:
    """Direct and reasoned scores, mixed."""
    return _written(task, stage2_rows(rows, task.settings.stage2), task.settings.stage2.epochs)


def regression(task: StageOptions, scored: Sequence[tuple[Path, float]]) -> Path:
    """The baseline: files and their scores in [0, 10). Writes adapter and head.safetensors."""
    if task.settings.model.sharded:
        raise RecipeError("the regression head is a baseline with an adapter; model.sharded is for stage 1 and 2")
    rows = [direct_row(path, score) for path, score in scored]
    model = _model(task)
    with torch.random.fork_rng():
        torch.manual_seed(task.settings.seed)
        regressor = regressor_of(model)
    train(regressor, _run(task, rows, task.settings.regression.epochs, SquaredError()), task.say)
    if PartialState().is_main_process:
        head = {name: values.detach().cpu() for name, values in regressor.head.state_dict().items()}
        save_file(head, task.out / HEAD)
    return _save(task, model)


def _written(task: StageOptions, rows: Sequence[ConversationRow], epochs: int) -> Path:
    model = _model(task)
    digits = TextTokenizer.read(task.base / "tokenizer.json").digits
    trainer = train(model, _run(task, rows, epochs, NextToken(digits)), task.say)
    return _save(task, model, trainer.whole_weights())


def _model(task: StageOptions) -> Any:
    chosen = task.settings
    dtype = torch.bfloat16 if chosen.optimiser.precision == "bf16" else torch.float32
    if chosen.model.from_scratch:
        # All weights are trained here, and steps of 1e-4 are lost in bfloat16's rounding; autocast computes in it.
        model: Any = random_base(task.base, torch.float32, chosen.seed)
    else:
        torch.manual_seed(chosen.seed)
        plain = load_base(task.base, dtype)
        new = functools.partial(with_new_adapter, chosen=chosen.adapter)
        model = new(plain) if task.adapter is None else with_adapter(plain, task.adapter, trainable=True)
    if chosen.model.gradient_checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def _run(task: StageOptions, rows: Sequence[ConversationRow], epochs: int, objective: Objective) -> TrainingRun:
    encoder = encoder_of(task.base, task.settings)
    special = encoder.text.special
    return TrainingRun(
        [example_of(row) for row in rows],
        encoder.example,
        special.image_pad,
        special.im_end,
        objective,
        epochs,
        task.settings,
        task.out,
        task.stop_after,
        task.pause_after,
    )


def encoder_of(base: Path, chosen: Settings) -> Encoder:
    """Rows to ids with the base's own tokeniser and patches."""
    text = TextTokenizer.read(base / "tokenizer.json")
    config = json.loads((base / "preprocessor_config.json").read_text(encoding="utf-8"))
    return Encoder(text, PatchLayout.from_config(config), chosen.pictures, chosen.optimiser.cutoff)


def _save(task: StageOptions, model: Any, weights: dict[str, Tensor] | None = None) -> Path:
    """Adapter or model, and the settings it was made with; the main process writes. weights: of a sharded model."""
    state = PartialState()
    if state.is_main_process:
        # FSDP makes the model another class, for which transformers does not know the names that files have.
        saved = model if weights is None else without_weights(model.config)
        saved.save_pretrained(task.out, state_dict=weights)
        if task.settings.model.from_scratch:
            for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "assay.toml"):
                if (task.base / name).is_file():
                    (task.out / name).write_bytes((task.base / name).read_bytes())
        (task.out / "settings.json").write_text(task.settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
        trained: Sequence[nn.Parameter] = [values for values in model.parameters() if values.requires_grad]
        task.say(f"{task.out}: {sum(values.numel() for values in trained):,} trained weights written")
    state.wait_for_everyone()
    return task.out
