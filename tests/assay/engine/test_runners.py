import logging

import pytest

from assay.engine.checkpoint import Checkpoint
from assay.engine.graph_runner import GraphRunner
from assay.engine.lean_runner import LeanRunner
from assay.engine.runners import choose, make_runner
from assay.errors import CheckpointError


@pytest.mark.parametrize(("device", "kind"), [("cpu", LeanRunner), ("cuda", GraphRunner)])
@pytest.mark.parametrize("name", ["auto", "lean"])
def test_our_own_forward_runs_on_a_cpu_and_on_cuda(name: str, device: str, kind: type) -> None:
    assert choose(name, device, "") == (kind, "")  # type: ignore[arg-type]


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
