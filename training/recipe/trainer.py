"""Trainer: transformers' own accumulates, spreads over processes, saves, resumes and logs; ours says what it minimises.

Every token (or row) of a step weighs the same, in whatever process and micro-batch it is. The order of examples is a
function of the seed, and dropout's noise is saved with the state, so that a resumed run ends as an uninterrupted one.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging as transformers_logging

from training.recipe.encoding import Encoded, EncodedBatch, batch_of
from training.recipe.log import LOG, METRICS
from training.recipe.run import OrderedExamples, TrainingRun
from training.recipe.settings import RecipeError

STATE = "state"
_TRAINED, _IDENTITY = "trained.safetensors", "identity.txt"
LogLine = Mapping[str, float | int | None]


def train(model: nn.Module, run: TrainingRun, say: Callable[[str], None] = print) -> "RecipeTrainer":
    """Trains the parameters that want a gradient, in place; goes on from `out`/state if there is one.

    Appends to `out`/log.jsonl. RecipeError if the state is that of another run (other settings or rows).
    """
    arguments = _arguments(run, getattr(model, "_no_split_modules", None))
    trainer = RecipeTrainer(model, arguments, run, say if arguments.process_index == 0 else _silent)
    done = trainer.steps_done()
    weights = sum(values.numel() for values in model.parameters() if values.requires_grad)
    trainer.say(f"{len(run.examples)} rows, {trainer.steps} steps, {weights:,} weights trained; {done} steps done")
    trainer.train(resume_from_checkpoint=trainer.last_state)
    return trainer


def _arguments(run: TrainingRun, blocks: Sequence[str] | None) -> TrainingArguments:
    """blocks: names of the layers' classes that are gathered one by one when the model is sharded."""
    chosen, is_sharded = run.settings.optimiser, run.settings.model.sharded
    has_gpu = torch.cuda.is_available()
    sharding: dict[str, Any] = {}
    if is_sharded:
        sharding = {"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": sorted(blocks or ())}}
    arguments = TrainingArguments(
        output_dir=str(run.out / STATE),
        num_train_epochs=1,  # the order of examples holds all epochs
        per_device_train_batch_size=chosen.batch,
        gradient_accumulation_steps=chosen.accumulate,
        train_sampling_strategy="sequential",
        learning_rate=chosen.rate,
        lr_scheduler_type="cosine",
        warmup_steps=chosen.warm_up,
        weight_decay=chosen.weight_decay,
        max_grad_norm=chosen.clip_norm,
        optim="adamw_torch",
        bf16=chosen.precision == "bf16",
        seed=run.settings.seed,
        use_cpu=not has_gpu,
        ddp_find_unused_parameters=False,
        **sharding,
        dataloader_num_workers=chosen.workers,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=chosen.save_every_steps,
        save_total_limit=1,
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
    )
    # A process takes one GPU; several are for a launcher, not for threads.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


class RecipeTrainer(Trainer):
    """transformers' Trainer with an objective of ours, and states in safetensors that hold what is trained alone."""

    def __init__(
        self, model: nn.Module, arguments: TrainingArguments, run: TrainingRun, say: Callable[[str], None]
    ) -> None:
        # Its warnings are about labels and tokens that it does not find in our batches.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        examples = OrderedExamples(run, arguments.world_size)
        super().__init__(
            model,
            arguments,
            data_collator=self._collate,
            train_dataset=examples,
            callbacks=[_Pause(run.pause_after)],
        )
        self.remove_callback(PrinterCallback)
        self.loss_is_scaled_for_ga = True
        self.run, self.say, self.steps = run, say, examples.steps
        self._sums: Counter[str] = Counter()
        self._began = time.monotonic()

    @property
    def last_state(self) -> str | None:
        """Directory of the last whole state."""
        # Its JSON file is written last, so that a state without it was cut off.
        states = [file.parent for file in (self.run.out / STATE).glob("checkpoint-*/trainer_state.json")]
        return str(max(states, key=_steps_in)) if states else None

    def steps_done(self) -> int:
        """Of the state in `out`; 0 if there is none. RecipeError if it is that of another run."""
        identity, file = self._identity(), self.run.out / STATE / _IDENTITY
        last = self.last_state
        if last and file.is_file() and file.read_text(encoding="utf-8") != identity:
            raise RecipeError(
                f"{file.parent} is the state of a run with other settings, steps or rows; go on with those, or give "
                "another --out"
            )
        self.accelerator.wait_for_everyone()
        done = _steps_in(Path(last)) if last else 0
        if self.is_world_process_zero():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(identity, encoding="utf-8")
            _cut_log(self.run.out / LOG, done)
        return done

    def _identity(self) -> str:
        """Hash of everything that decides what a step does."""
        examples = [(each.path.name, each.question, asdict(each)["answer"], each.score) for each in self.run.examples]
        chosen = self.run.settings.model_dump(mode="json")
        said = json.dumps([chosen, self.run.epochs, self.steps, self.args.world_size, examples])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def _collate(self, several: Sequence[Encoded]) -> dict[str, EncodedBatch]:
        return {"batch": batch_of(several, self.run.image_pad, self.run.padding)}

    def _get_num_items_in_batch(self, batch_samples: Any, device: torch.device) -> Tensor:
        """What the step weighs, over all micro-batches of all processes."""
        weight = sum(self.run.objective.weight(each["batch"]) for each in batch_samples)
        whole: Tensor = self.accelerator.reduce(torch.tensor(float(weight), device=device), reduction="sum")
        return whole

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The batch's share of the step's loss. ValueError names the files on which it is no number."""
        measured = self.run.objective(model, inputs["batch"])
        loss_sum = float(measured.loss_sum.detach())
        if not math.isfinite(loss_sum):
            names = sorted(set(inputs["batch"].names))
            raise ValueError(
                f"the loss is {loss_sum} on {names}; the last saved state is from before; lower optimiser.rate"
            )
        self._sums.update(measured.sums)
        # Processes' gradients are averaged, not summed.
        return measured.loss_sum * (self.args.world_size / num_items_in_batch)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the estimate knows nothing of pictures."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """A line for every step, in `out`/log.jsonl and on the terminal."""
        if "loss" in logs:
            numbers = _means(self._over_processes())
            line = {"step": self.state.global_step, "rate": logs["learning_rate"], "loss": logs["loss"], **numbers}
            line["seconds"] = round(time.monotonic() - self._began, 3)
            self._began = time.monotonic()
            if self.is_world_process_zero():
                self._write(line)
        super().log(logs, start_time)

    def _over_processes(self) -> dict[str, float]:
        """This step's sums, which begin anew."""
        names = [f"{name}_{kind}" for kind in ("direct", "cot") for name in ("rows", *METRICS)]
        values = torch.tensor([float(self._sums[name]) for name in names], device=self.args.device)
        self._sums = Counter()
        return dict(zip(names, self.accelerator.reduce(values, reduction="sum").tolist(), strict=True))

    def _write(self, line: LogLine) -> None:
        with (self.run.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        words = [f"loss {line['loss']:.4f}"]
        words += [f"NCM {kind} {value:.3f}" for kind in ("direct", "cot") if (value := line[f"ncm_{kind}"]) is not None]
        self.say(f"step {line['step']}/{self.steps}  {'  '.join(words)}  {line['seconds']} s")

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """What is trained, and no frozen base."""
        if self.args.should_save and output_dir:
            into = Path(output_dir)
            into.mkdir(parents=True, exist_ok=True)
            trained = _trained(self.model)
            weights = {name: values for name, values in (state_dict or trained).items() if name in trained}
            save_file({name: values.detach().cpu().contiguous() for name, values in weights.items()}, into / _TRAINED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_file(Path(resume_from_checkpoint) / _TRAINED)
        with torch.no_grad():
            for name, values in _trained(self.model).items():
                values.copy_(saved[name])

    def whole_weights(self) -> dict[str, Tensor] | None:
        """Of a sharded model, gathered on the CPU of the main process; None where every process has them anyway."""
        return self.accelerator.get_state_dict(self.model) if self.is_fsdp_enabled else None


class _Pause(TrainerCallback):
    """Stops as if interrupted, with the state saved."""

    def __init__(self, after: int | None) -> None:
        self._after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._after:
            control.should_save = control.should_training_stop = True


def _trained(model: Any) -> dict[str, nn.Parameter]:
    return {name: values for name, values in model.named_parameters() if values.requires_grad}


def _steps_in(state: Path) -> int:
    said: dict[str, Any] = json.loads((state / "trainer_state.json").read_text(encoding="utf-8"))
    return int(said["global_step"])


def _means(sums: Mapping[str, float]) -> dict[str, float | int | None]:
    """Sums to means over rows; None where a step had no such row."""
    line: dict[str, float | int | None] = {}
    for kind in ("direct", "cot"):
        rows = int(sums[f"rows_{kind}"])
        line[f"rows_{kind}"] = rows
        line |= {f"{metric}_{kind}": sums[f"{metric}_{kind}"] / rows if rows else None for metric in METRICS}
    return line


def _silent(line: str) -> None:
    """Only the main process speaks."""


def _cut_log(log: Path, done: int) -> None:
    """Steps after the saved state are done again, and their lines written again."""
    if log.is_file():
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if json.loads(line)["step"] <= done]
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
