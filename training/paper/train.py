"""The loop: rows in, a trained model out, with a line of the log for every step.

accelerate brings device, precision and processes; the order of rows, the rate and dropout's noise are functions of
the step, so that a resumed run does what an uninterrupted one would have done.
"""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from torch import nn
from torch.utils.data import DataLoader, Dataset

from training.loader_worker import end_with_training
from training.paper.batch import Batch
from training.paper.log import LOG, METRICS
from training.paper.objective import Measured, Objective
from training.paper.row import Row
from training.paper.schedule import learning_rate, order, share_of, step_rows
from training.paper.settings import Settings
from training.paper.sharding import shard
from training.paper.state import load_state, save_state

LogLine = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Run:
    """What is trained on what."""

    rows: Sequence[Row]
    collate: Callable[[Sequence[Row]], Batch]
    objective: Objective
    epochs: int
    settings: Settings
    out: Path
    stop_after: int | None = None
    """Steps of this run, if not all; the schedule is that of the shortened run."""
    pause_after: int | None = None
    """Steps after which the run stops as if interrupted, with its state saved."""


def train(model: nn.Module, run: Run, say: Callable[[str], None] = print) -> nn.Module:
    """Trains the parameters that want a gradient, in place; returns the unwrapped model.

    Goes on from `out`/state if there is one. Appends to `out`/log.jsonl.
    """
    chosen = run.settings.optimiser
    precision = "bf16" if chosen.precision == "bf16" else "no"
    # Unless it is told so, accelerate takes several processes without a GPU for as many runs of one.
    accelerator: Any = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=precision)
    is_main: bool = accelerator.is_main_process
    say = say if is_main else _silent
    plan = step_rows(
        order(len(run.rows), run.epochs, run.settings.seed), chosen.batch, chosen.accumulate, accelerator.num_processes
    )[: run.stop_after]
    if run.settings.model.sharded:
        shard(model, accelerator.num_processes, accelerator.device)
    else:
        model.to(accelerator.device)
    trained = [values for values in model.parameters() if values.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=chosen.rate, weight_decay=chosen.weight_decay)
    identity = _identity(run, len(plan), accelerator.num_processes)
    done = load_state(run.out, model, optimiser, identity)
    plain, model = model, model if run.settings.model.sharded else accelerator.prepare_model(model)
    optimiser = accelerator.prepare_optimizer(optimiser)
    model.train()
    run.out.mkdir(parents=True, exist_ok=True)
    if is_main:
        _cut_log(run.out / LOG, done)
    weights = sum(values.numel() for values in trained)
    say(f"{len(run.rows)} rows, {len(plan)} steps, {weights:,} weights trained; {done} steps done")
    end = len(plan) if run.pause_after is None else min(len(plan), run.pause_after)
    shares = [share_of(of_step, accelerator.process_index) for of_step in plan]
    micros = _batches(run, [micros for micros, _ in shares[done:end]])
    for step in range(done, end):
        began = time.monotonic()
        rate = learning_rate(step, len(plan), chosen.rate, chosen.warm_up)
        for group in optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(hash((run.settings.seed, step, accelerator.process_index)) % 2**63)
        share, weighing = shares[step]
        mine = [next(micros).to(accelerator.device) for _ in share]
        line = _step(accelerator, model, optimiser, mine, weighing, run)
        seconds = round(time.monotonic() - began, 3)
        if is_main:
            _log(run.out / LOG, {"step": step + 1, "rate": rate, **line, "seconds": seconds}, len(plan), say)
        if (step + 1) % chosen.save_every_steps == 0 or step + 1 == end:
            save_state(run.out, plain, optimiser.optimizer, step + 1, identity, is_main)
    accelerator.wait_for_everyone()
    return plain


def _step(
    accelerator: Any, model: nn.Module, optimiser: Any, mine: Sequence[Batch], weighing: int, run: Run
) -> LogLine:
    """One optimiser step over all micro-batches of all processes, every token (or row) weighing the same.

    Only the first `weighing` of this process's batches count; the others keep it in step with its peers.
    """
    counted = float(sum(run.objective.count(batch) for batch in mine[:weighing]))
    count = _over_processes(accelerator, [counted])[0]
    loss_sum, sums = 0.0, Counter[str]()
    for place, batch in enumerate(mine):
        weighs, last = place < weighing, place + 1 == len(mine)
        with accelerator.autocast(), _maybe_no_sync(accelerator, model, last or run.settings.model.sharded):
            measured: Measured = run.objective(model, batch)
            # Processes' gradients are averaged, not summed.
            accelerator.backward(measured.loss_sum * (accelerator.num_processes / count if weighs else 0.0))
        if weighs:
            loss_sum += float(measured.loss_sum.detach())
            sums.update(measured.sums)
    if not math.isfinite(loss_sum):
        names = sorted({row for batch in mine for row in batch.names})
        raise ValueError(
            f"the loss is {loss_sum} on {names}; the last saved state is from before; lower optimiser.rate"
        )
    accelerator.clip_grad_norm_(model.parameters(), run.settings.optimiser.clip_norm)
    optimiser.step()
    optimiser.zero_grad()
    names = [f"{name}_{kind}" for kind in ("direct", "cot") for name in ("rows", *METRICS)]
    loss_sum, *values = _over_processes(accelerator, [loss_sum, *(float(sums[name]) for name in names)])
    return {"loss": loss_sum / count, **_means(dict(zip(names, values, strict=True)))}


def _means(sums: Mapping[str, float]) -> LogLine:
    """Sums to means over rows; None where a step had no such row."""
    line: dict[str, float | int | None] = {}
    for kind in ("direct", "cot"):
        rows = int(sums[f"rows_{kind}"])
        line[f"rows_{kind}"] = rows
        line |= {f"{metric}_{kind}": sums[f"{metric}_{kind}"] / rows if rows else None for metric in METRICS}
    return line


def _over_processes(accelerator: Any, values: Sequence[float]) -> list[float]:
    summed = accelerator.reduce(torch.tensor(values, dtype=torch.float32, device=accelerator.device), reduction="sum")
    result: list[float] = summed.tolist()
    return result


def _maybe_no_sync(accelerator: Any, model: nn.Module, syncs: bool) -> Any:
    return torch.enable_grad() if syncs else accelerator.no_sync(model)


def _silent(line: str) -> None:
    """Only the main process speaks."""


class _Micros(Dataset[Batch]):
    """Micro-batches, prepared when they are asked for (in worker processes, if there are any)."""

    def __init__(self, run: Run, micros: Sequence[Sequence[int]]) -> None:
        self._run, self._micros = run, micros

    def __len__(self) -> int:
        return len(self._micros)

    def __getitem__(self, place: int) -> Batch:
        return self._run.collate([self._run.rows[index] for index in self._micros[place]])


def _batches(run: Run, steps: Sequence[Sequence[Sequence[int]]]) -> Iterator[Batch]:
    micros = _Micros(run, [micro for step in steps for micro in step])
    # A batch is prepared whole by one worker.
    workers = run.settings.optimiser.workers
    return iter(DataLoader(micros, batch_size=None, num_workers=workers, worker_init_fn=end_with_training))


def _identity(run: Run, steps: int, processes: int) -> str:
    """Hash of everything that decides what a step does."""
    rows = [(row.path.name, row.question, row.answer, row.score) for row in run.rows]
    said = json.dumps([run.settings.model_dump(mode="json"), run.epochs, steps, processes, rows])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _cut_log(log: Path, done: int) -> None:
    """Steps after the saved state are done again, and their lines written again."""
    if log.is_file():
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if json.loads(line)["step"] <= done]
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _log(log: Path, line: LogLine, steps: int, say: Callable[[str], None]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    numbers = [f"loss {line['loss']:.4f}"]
    numbers += [f"NCM {kind} {value:.3f}" for kind in ("direct", "cot") if (value := line[f"ncm_{kind}"]) is not None]
    say(f"step {line['step']}/{steps}  {'  '.join(numbers)}  {line['seconds']} s")
