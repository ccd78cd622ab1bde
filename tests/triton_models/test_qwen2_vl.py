"""The files that Triton reads agree with the code that speaks to them."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from assay.errors import Busy
from assay.form import Form, Literal
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation, Finished, NumberWritten, Wrote
from assay.tensors import Cancel, GenerationRequest, cancel_to_tensors, events_to_tensors, request_to_tensors

MODEL = Path(__file__).parents[2] / "triton_models" / "qwen2_vl"
TYPES = {"O": "TYPE_STRING", "bool": "TYPE_BOOL", "uint8": "TYPE_UINT8", "int64": "TYPE_INT64", "float64": "TYPE_FP64"}
REQUEST = GenerationRequest(
    "an id",
    Clip((Frame(np.zeros((4, 6, 3), np.uint8)),), False),
    Conversation("?", answered=("!", "?")),
    Form((Literal("!"),)),
)
EVENTS = [
    Wrote("a", "b"),
    Chose("a", "b", {"b": 0.5, "c": 0.5}),
    NumberWritten("a", "3.7", {"": (0.1,) * 10, "3": (0.1,) * 10}),
    Finished("complete", "f", 1, 2),
    Busy("no room"),
    None,
]


@pytest.fixture(scope="module")
def config():
    return text_format.Parse((MODEL / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def fits(array, declared) -> bool:
    shape = zip(array.shape, declared.dims, strict=True)
    kind = "O" if array.dtype == np.object_ else str(array.dtype)
    return model_config_pb2.DataType.Name(declared.data_type) == TYPES[kind] and all(d in (-1, n) for n, d in shape)


def test_the_inputs_are_those_of_a_request(config):
    declared = {tensor.name: tensor for tensor in config.input}
    tensors = request_to_tensors(REQUEST)
    assert set(tensors) == set(declared)
    assert [name for name, array in tensors.items() if not fits(array, declared[name])] == []


def test_what_a_cancel_leaves_out_is_optional(config):
    assert {t.name for t in config.input if not t.optional} == set(cancel_to_tensors(Cancel("an id")))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_outputs_of_an_event_are_declared(config, event):
    declared = {tensor.name: tensor for tensor in config.output}
    assert [name for name, array in events_to_tensors([event]).items() if not fits(array, declared[name])] == []


def test_every_declared_output_is_used(config):
    assert {tensor.name for tensor in config.output} == set(events_to_tensors(EVENTS))


def test_streams_without_a_queue_of_tritons(config):
    assert config.model_transaction_policy.decoupled
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")


def test_no_path_of_a_machine_stands_in_the_repository(config):
    assert not config.parameters
    assert "/work" not in (MODEL / "config.pbtxt").read_text()
