"""Which GPUs get engines, by what nvidia-smi prints."""

import json

import pytest

from assay.errors import SettingsError
from triton_server import gpus
from triton_server.gpus import chosen_gpus, visible_gpus
from triton_server.server import _load_body
from triton_server.settings import TritonServerSettings

PRINTED = """\
0, GPU-aaaa1111, NVIDIA L4, 23034, 22000
1, GPU-bbbb2222, NVIDIA L4, 23034, 512
"""


@pytest.fixture(autouse=True)
def printed(monkeypatch):
    monkeypatch.setattr(gpus, "_asked", lambda: PRINTED)
    monkeypatch.setattr(gpus, "inherited", lambda prefixes: {})


@pytest.mark.parametrize(
    ("visible", "free_mib"), [(None, [22000, 512]), ("1", [512]), ("1,0", [512, 22000]), ("GPU-bbbb", [512]), ("", [])]
)
def test_what_cuda_makes_visible_is_counted_in_its_order(visible, free_mib):
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = visible_gpus(environment)
    assert [(gpu.index, gpu.free_bytes >> 20) for gpu in found] == list(enumerate(free_mib))


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(SettingsError, match="CUDA_VISIBLE_DEVICES names '7', and this machine has 0, 1"):
        visible_gpus({"CUDA_VISIBLE_DEVICES": "7"})


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [({}, (0, 1)), ({"gpus": "1"}, (1,)), ({"gpus": "none"}, ()), ({"device": "cpu"}, ()), ({"device": "cuda:1"}, ())],
)
def test_every_visible_gpu_gets_an_engine_unless_others_are_named(chosen, expected):
    assert chosen_gpus(TritonServerSettings(**chosen)) == expected


def test_a_number_that_no_gpu_has_is_refused_with_those_there_are():
    with pytest.raises(SettingsError, match="TRITON_SERVER_GPUS names 4, and the visible GPUs are 0, 1"):
        chosen_gpus(TritonServerSettings(gpus="0,4"))


@pytest.mark.parametrize("chosen", [{"device": "cuda:0"}, {"gpus": "0"}])
def test_a_gpu_on_a_machine_without_one_is_refused_before_the_model_is_loaded(chosen, monkeypatch):
    monkeypatch.setattr(gpus, "_asked", lambda: "")
    with pytest.raises(SettingsError, match=r"none \(nvidia-smi lists no GPU\)"):
        chosen_gpus(TritonServerSettings(**chosen))


@pytest.mark.parametrize(("tensor_parallel", "first"), [(1, [0, 1]), (2, [0])])
def test_an_engine_is_asked_for_on_the_first_gpu_of_each_group(tensor_parallel, first):
    body = json.loads(_load_body(TritonServerSettings(tensor_parallel=tensor_parallel)))
    (group,) = json.loads(body["parameters"]["config"])["instance_group"]
    assert (group["kind"], group["gpus"]) == ("KIND_GPU", first)
