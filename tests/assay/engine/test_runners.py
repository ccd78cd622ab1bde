import logging

import pytest

from assay.engine.checkpoint import Checkpoint
from assay.engine.graph_runner import GraphRunner
from assay.engine.lean_runner import LeanRunner
from assay.engine.runners import RunnerName, choose, make_runner
from assay.errors import CheckpointError


@pytest.mark.parametrize(
    ("name", "device", "kind"),
    [("auto", "cpu", LeanRunner), ("lean", "cpu", LeanRunner), ("lean", "cuda", GraphRunner)],
)
def test_our_own_forward_runs_on_a_cpu_and_where_asked_on_cuda(name: RunnerName, device: str, kind: type) -> None:
    assert choose(name, device, "") == (kind, "")


def test_what_has_not_been_run_on_a_gpu_is_not_chosen_there() -> None:
    kind, why = choose("auto", "cuda", "")
    assert kind is None
    assert "has not been run yet" in why


@pytest.mark.parametrize(("device", "trouble"), [("mps", ""), ("cuda", "it has a sliding window")])
def test_transformers_runs_what_we_do_not(device: str, trouble: str) -> None:
    kind, why = choose("auto", device, trouble)
    assert kind is None
    assert why == trouble or "'mps'" in why
    with pytest.raises(CheckpointError, match="use 'transformers'"):
        choose("lean", device, trouble)


def test_transformers_runs_what_it_is_asked_to_run() -> None:
    assert choose("transformers", "cuda", "") == (None, "")


def test_the_log_says_who_runs_a_checkpoint(checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        make_runner(checkpoint, "auto", kept_bytes=0)
    assert "our own forward (LeanRunner) runs this checkpoint on cpu" in caplog.text
