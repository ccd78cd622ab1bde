"""One bidirectional stream of Triton's, for one generation, which is cancelled by a second message on it; and what
messages hold: tensors as Triton carries them, and a model's configuration as it loads it."""

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import (
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    serialize_byte_tensor,
    triton_to_np_dtype,
)

from assay.errors import AssayError, ModelUnavailable
from assay.generator import Event, Finished
from assay.tensors import Tensors, events_from_tensors

_log = logging.getLogger("assay.triton")

_CANCEL_TIMEOUT_SECONDS = 10.0
"""How long the server may take to end a generation that was cancelled."""


class TritonStream:
    """One call, spoken by a task of its own, because grpc.aio cancels a call when its reader is cancelled."""

    def __init__(
        self, call: Any, request: service_pb2.ModelInferRequest, cancel: service_pb2.ModelInferRequest
    ) -> None:
        self.events: asyncio.Queue[Event | AssayError | None] = asyncio.Queue()
        """The engine's events; the last is Finished, an error, or None if cancelled, and is always there."""
        self.begun_at_seconds = asyncio.get_running_loop().time()
        self.heard_at_seconds = -math.inf
        """When the server last said something, by the clock of the event loop; inf once the stream has failed."""
        self._call = call
        self._cancel = cancel
        self._requested = asyncio.Event()
        self._is_half_closed = False
        self._leaving: asyncio.Task[None] | None = None
        self.ended = asyncio.create_task(self._speak(request))
        """Done when the server has closed its side, or is gone; never raises."""

    def leave(self) -> None:
        """No more events are wanted. Returns at once; `ended` tells when the server is through with the request."""
        if self._leaving is None and not self.ended.done():
            self._leaving = asyncio.create_task(self._cancel_in_band())

    def fail(self, error: AssayError) -> None:
        """Wakes the tasks that wait for an event. What the server still sends is read and dropped."""
        self.heard_at_seconds = math.inf
        self.events.put_nowait(error)

    async def _speak(self, request: service_pb2.ModelInferRequest) -> None:
        try:
            await self._call.write(request)
            self._requested.set()
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self.heard_at_seconds = max(self.heard_at_seconds, asyncio.get_running_loop().time())
                for event in events_of(response):
                    self.events.put_nowait(event)
                    if event is None or isinstance(event, Finished | AssayError):
                        await self._half_close()
            if not self._is_half_closed:
                raise ConnectionResetError("the server closed the stream before the last event")
        except Exception as failure:  # noqa: BLE001 - the tasks that wait for events have to be woken
            why = failure.details() if isinstance(failure, grpc.aio.AioRpcError) else repr(failure)
            _log.warning("the stream to the model server failed: %s", why)
            self.events.put_nowait(
                ModelUnavailable("The model server died or lost the connection while it worked on this; try again.")
            )
        finally:
            self._requested.set()

    async def _cancel_in_band(self) -> None:
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT_SECONDS):
                await self._requested.wait()
                if not self._is_half_closed and not self.ended.done():
                    await self._call.write(self._cancel)
                    await self._half_close()
                await asyncio.shield(self.ended)
        except TimeoutError:
            _log.warning("the model server did not end a cancelled request in %g s", _CANCEL_TIMEOUT_SECONDS)
            self._call.cancel()
        except (grpc.RpcError, grpc.aio.BaseError, asyncio.InvalidStateError) as ended_meanwhile:
            _log.debug("nothing left to cancel: %r", ended_meanwhile)

    async def _half_close(self) -> None:
        if not self._is_half_closed:
            self._is_half_closed = True
            await self._call.done_writing()


def config_with_instances(pbtxt: str, kind: str, count: int, gpus: Sequence[int] = ()) -> str:
    """A model's config.pbtxt with other instances, as the JSON that Triton's load takes; `kind` such as KIND_GPU."""
    config = text_format.Parse(pbtxt, model_config_pb2.ModelConfig())
    del config.instance_group[:]
    config.instance_group.add(kind=kind, count=count, gpus=gpus)
    written: str = json_format.MessageToJson(config, preserving_proto_field_name=True, indent=None)
    return written


def request_message(model: str, tensors: Tensors) -> service_pb2.ModelInferRequest:
    """Tensors as a request to that model."""
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, array in tensors.items():
        message.inputs.add(name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape)
        message.raw_input_contents.append(_packed(array))
    return message


def events_of(response: service_pb2.ModelStreamInferResponse) -> Sequence[Event | AssayError | None]:
    """The events in a response, at least one. ValueError, KeyError or TypeError if it holds none."""
    if response.error_message:
        # Not the engine's words: Triton itself refused, because the model is not loaded or its process has died.
        _log.warning("Triton: %s", response.error_message)
        return [ModelUnavailable("The model is not running at the moment; try again in a few seconds.")]
    outputs = zip(response.infer_response.outputs, response.infer_response.raw_output_contents, strict=True)
    return events_from_tensors({output.name: _unpacked(output, raw) for output, raw in outputs})


def _packed(array: NDArray[Any]) -> bytes:
    """Triton's raw form: little-endian elements in C order; a text is its length as uint32 and its bytes."""
    return array.tobytes() if array.dtype != np.object_ else bytes(serialize_byte_tensor(array).item())


def _unpacked(output: Any, raw: bytes) -> NDArray[Any]:
    is_text = output.datatype == "BYTES"
    array = deserialize_bytes_tensor(raw) if is_text else np.frombuffer(raw, triton_to_np_dtype(output.datatype))
    return np.asarray(array).reshape(tuple(output.shape))
