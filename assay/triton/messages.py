"""Messages of Triton's protocol: tensors as it carries them, and a model's configuration as it loads it."""

import logging
from collections.abc import Sequence
from typing import Any

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
from assay.generator import Event
from assay.tensors import Tensors, events_from_tensors

_log = logging.getLogger("assay.triton")


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
