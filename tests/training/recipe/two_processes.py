"""One of two processes that train together over gloo: an adapter, then from scratch and sharded, then that once more.

Called by test_processes.py with a directory and the arguments that all three have in common. accelerate shards on GPUs
alone; here the same code of it is made to shard on CPUs.
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState  # type: ignore[import-untyped]
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin  # type: ignore[import-untyped]

from training.__main__ import main
from training.recipe.trainer import RecipeTrainer

SHARDED = ("--set", "model.from_scratch=true", "--set", "model.sharded=true")


class ShardingOnCpus(RecipeTrainer):
    """As the Trainer is where accelerate finds GPUs."""

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        if self.args.fsdp:
            plugin = FullyShardedDataParallelPlugin(**self.args.fsdp_plugin_args)
            shared: dict[str, Any] = {"distributed_type": DistributedType.FSDP}
            PartialState._shared_state.update(shared)
            AcceleratorState._shared_state.update(shared | {"fsdp_plugin": plugin})
            self.is_fsdp_enabled = True


def run(out: Path, arguments: list[str], *more: str) -> None:
    """One training; the Trainer forgets the one before."""
    if status := main([*arguments, "--out", str(out), *more]):
        sys.exit(status)


if __name__ == "__main__":
    import training.recipe.trainer as recipe

    recipe.RecipeTrainer = ShardingOnCpus  # type: ignore[misc]
    directory, common = Path(sys.argv[1]), sys.argv[2:]
    run(directory / "adapter", common)
    run(directory / "sharded", common, *SHARDED)
    if torch.distributed.get_rank() == 0:
        shutil.copy(directory / "sharded" / "model.safetensors", directory / "first.safetensors")
    run(directory / "sharded", common, *SHARDED)
