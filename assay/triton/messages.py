"""Messages of Triton's protocol: tensors as it carries them, and a model's configuration as it loads it."""

import logging
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import json_format, text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2

from assay.errors import AssayError, ModelUnavailable
from assay.generator import Event
from assay.tensors import Tensors, events_from_tensors

_log = logging.getLogger("assay.triton")

_DATATYPES = {"O": "BYTES", "b1": "BOOL", "u1": "UINT8", "<i8": "INT64", "<f8": "FP64"}
_DTYPES = {name: np.dtype(code) for code, name in _DATATYPES.items()}


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
        message.inputs.add(name=name, datatype=_DATATYPES[array.dtype.str.lstrip("|")], shape=array.shape)
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
    if array.dtype != np.object_:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(text)) + text for text in array.flat)


def _unpacked(output: Any, raw: bytes) -> NDArray[Any]:
    if output.datatype != "BYTES":
        return np.frombuffer(raw, _DTYPES[output.datatype]).reshape(tuple(output.shape))
    texts, start = [], 0
    while start < len(raw):
        (length,) = struct.unpack_from("<I", raw, start)
        texts.append(raw[start + 4 : start + 4 + length])
        start += 4 + length
    return np.array(texts, np.object_).reshape(tuple(output.shape))
