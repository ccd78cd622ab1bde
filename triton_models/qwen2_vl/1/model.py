"""The door from Triton to assay.engine: tensors in, events out. Settings are environment variables, see _Settings.
Torch is imported in initialize(), as Triton gives up on a stub that takes long to come up, but waits for initialize().
"""

import atexit
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
import triton_python_backend_utils as pb_utils
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay import tensors
from assay.errors import AssayError, SettingsError
from assay.generator import Finished
from assay.rpc.logs import log_to_stderr
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


class TritonPythonModel:
    """One engine. Triton calls initialize, execute and finalize on one thread; events come from the engine's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the checkpoint. The sentence of an AssayError travels in Triton's message as JSON."""
        log_to_stderr("engine")
        # Runs last of all at exit: taking down an interpreter with torch in it would hold up Triton for seconds.
        atexit.register(os._exit, 0)
        try:
            self._engine, self._metrics = _load_engine()
        except AssayError as error:
            told = json.dumps({"reason": error.reason, "message": error.message})
            raise pb_utils.TritonModelException(f"assay_error {told}") from error

    def execute(self, requests: list[Any]) -> None:
        """Hand the requests to the engine at once: Triton wants its thread back."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self._start({tensor.name(): tensor.as_numpy() for tensor in request.inputs()}, sender)
            except AssayError as error:
                self._tell(sender, error)
            except Exception:
                logging.exception("a request could not be handed to the engine")
                self._tell(sender, AssayError("The model server failed to read this request."))

    def finalize(self) -> None:
        """Let go of the model; what is in flight ends in ModelUnavailable."""
        self._engine.close()

    def _start(self, inputs: dict[str, Any], sender: Any) -> None:
        wish, turns = tensors.request_from_tensors(inputs), iter(range(1, sys.maxsize))
        if isinstance(wish, tensors.Cancel):
            self._engine.cancel(wish.request_id)
            return sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

        def on_events(events: Any) -> None:
            if self._tell(sender, *events):
                self._metrics.update(self._engine.counters)
            elif next(turns) % 16 == 0 and sender.is_cancelled():  # asking costs more than telling the events
                logging.info("the client has left", extra={"facts": {"request_id": wish.request_id}})
                self._engine.cancel(wish.request_id)

        logging.info("generation", extra={"facts": {"request_id": wish.request_id, "frames": len(wish.clip.frames)}})
        self._engine.submit(wish.request_id, wish.clip, wish.conversation, wish.form, on_events)

    def _tell(self, sender: Any, *events: Any) -> bool:
        """Send the events in one response; True if the last one is among them."""
        outputs = [pb_utils.Tensor(*each) for each in tensors.events_to_tensors(events).items()]
        is_last = events[-1] is None or isinstance(events[-1], AssayError | Finished)
        sender.send(pb_utils.InferenceResponse(outputs), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL * is_last)
        return is_last


def _load_engine() -> tuple[Any, Any]:
    from metrics import Metrics

    from assay.engine import Engine, EngineOptions

    if int(numpy.__version__.split(".")[0]) >= 2:
        # Triton's backend up to 24.10 sends numpy 2 arrays as empty ones, without an error.
        raise SettingsError(f"Triton's python backend needs numpy < 2, this environment has {numpy.__version__}.")
    settings = load(_Settings).model_dump()
    return Engine.load(settings.pop("checkpoint"), EngineOptions(**settings)), Metrics(pb_utils.MetricFamily)
