"""The door from Triton to assay.engine: tensors in, events out. Settings are environment variables (loading.py).

Torch is imported in initialize(), as Triton gives up on a stub that takes long to come up, but waits for initialize().
"""

import atexit
import json
import logging
import os
import sys
import time
from typing import Any

import triton_python_backend_utils as pb_utils
from cancellation import Cancellation
from loading import load_engine

from assay import __version__, tensors
from assay.errors import AssayError
from assay.generator import Finished
from assay.rpc.logs import log_to_stderr
from assay.rpc.tracing import record_span, trace_to_collector


class TritonPythonModel:
    """One engine. Triton calls initialize, execute and finalize on one thread; events come from the engine's."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the checkpoint. The sentence of an AssayError travels in Triton's message as JSON."""
        log_to_stderr("engine")
        # Runs last of all at exit: taking down an interpreter with torch in it would hold up Triton for seconds.
        atexit.register(os._exit, 0)
        try:
            trace_to_collector("engine", __version__)
            self._engine, self._metrics = load_engine(args)
            self._cancellation = Cancellation(args["model_instance_name"], self._engine.cancel)
        except AssayError as error:
            sent = json.dumps({"reason": error.reason, "message": error.message})
            raise pb_utils.TritonModelException(f"assay_error {sent}") from error

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
        self._cancellation.close()
        self._engine.close()

    def _start(self, inputs: dict[str, Any], sender: Any) -> None:
        generation, turns = tensors.request_from_tensors(inputs), iter(range(1, sys.maxsize))
        if isinstance(generation, tensors.Cancel):
            self._cancellation.ask(generation.request_id)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            return

        def on_events(events: Any) -> None:
            is_last = self._tell(sender, *events)
            self._metrics.responded(self._engine.counters, is_last=is_last)
            if is_last:
                self._cancellation.end(generation.request_id)
                reason = events[-1].reason if isinstance(events[-1], AssayError | Finished) else "CANCELLED"
                logging.info("generation ended", extra={"facts": {**whose, "reason": reason}})
            elif next(turns) % 16 == 0 and sender.is_cancelled():  # asking costs more than telling the events
                logging.info("the client has left", extra={"facts": {"request_id": generation.request_id}})
                self._engine.cancel(generation.request_id)

        whose = {"request_id": generation.request_id, "frames": len(generation.clip.frames)}
        logging.info("generation begins", extra={"facts": whose})

        def on_stage(stage: str, begin_seconds: float, end_seconds: float) -> None:
            self._metrics.spent(stage, end_seconds - begin_seconds)
            record_span(stage, generation.traceparent, begin_seconds, end_seconds)

        with self._cancellation.submitting(generation.request_id):
            self._engine.submit(
                generation.request_id,
                generation.clip,
                generation.conversation,
                generation.form,
                on_events,
                priority=generation.priority,
                deadline_seconds=time.monotonic() + generation.seconds_left,
                on_stage=on_stage,
            )

    def _tell(self, sender: Any, *events: Any) -> bool:
        """Send the events in one response; True if the last one is among them."""
        outputs = [pb_utils.Tensor(*each) for each in tensors.events_to_tensors(events).items()]
        is_last = events[-1] is None or isinstance(events[-1], AssayError | Finished)
        sender.send(pb_utils.InferenceResponse(outputs), flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL * is_last)
        return is_last
