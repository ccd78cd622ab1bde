import logging

import pytest

from assay.engine.model.loading import LoadedModel
from assay.engine.runner import RunnerName, choose, make_runner
from assay.errors import CheckpointError


@pytest.mark.parametrize("name", ["auto", "lean"])
def test_our_own_forward_runs_on_a_cpu(name: RunnerName) -> None:
    assert choose(name, "cpu", "") == (True, "")


@pytest.mark.parametrize(("device", "trouble"), [("cuda", ""), ("mps", ""), ("cpu", "it has a sliding window")])
def test_transformers_runs_what_we_do_not(device: str, trouble: str) -> None:
    is_ours, why = choose("auto", device, trouble)
    assert not is_ours
    assert why == trouble or f"'{device}'" in why
    with pytest.raises(CheckpointError, match="use 'transformers'"):
        choose("lean", device, trouble)


def test_transformers_runs_what_it_is_asked_to_run() -> None:
    assert choose("transformers", "cpu", "") == (False, "")


def test_the_log_says_who_runs_a_checkpoint(checkpoint: LoadedModel, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        make_runner(checkpoint, "auto", cache_bytes=0)
    assert "our own forward runs this checkpoint on the CPU" in caplog.text
