"""Loading: environment variables, and what Triton says of an instance, to an engine."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import triton_python_backend_utils as pb_utils
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.settings import load


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="QWEN2_VL_", validate_default=True)
    checkpoint: Annotated[Path, Field(description="the directory of a checkpoint")]
    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 8
    max_waiting: Annotated[int, Field(ge=0, le=4096)] = 32
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    device: Annotated[str | None, Field(description="torch's name of a device")] = None
    runner: Annotated[Literal["auto", "lean", "transformers"], Field(description="see assay.engine.runner")] = "auto"
    cache_mib: Annotated[int, Field(ge=0, le=1 << 20, description="size of the prefix and encoder caches")] = 256
    vision_weights: Literal["stored", "bfloat16", "int8"] = "stored"


def load_engine(args: dict[str, str]) -> tuple[Any, Any]:
    """The engine and its metrics; `args` as Triton gives them to initialize(). AssayError says why there is none."""
    from metrics import Metrics

    from assay.engine import Engine, EngineOptions

    # Triton's backend up to 24.10 loses the values of numpy 2 arrays, without an error.
    if pb_utils.Tensor.from_dlpack("a", pb_utils.Tensor("b", numpy.ones(1)).to_dlpack()).as_numpy() != numpy.ones(1):
        raise SettingsError(f"This release of Triton needs numpy < 2, this environment has {numpy.__version__}.")
    settings = load(_Settings).model_dump()
    if args["model_instance_kind"] == "GPU":
        settings["device"] = settings["device"] or f"cuda:{args['model_instance_device_id']}"
    return Engine.load(settings.pop("checkpoint"), EngineOptions(**settings)), Metrics(pb_utils.MetricFamily)
