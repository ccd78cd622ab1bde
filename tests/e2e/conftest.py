"""One stack for all end-to-end tests: every program in its own process, the real Triton, the checkpoint of the repo.

All of them are run with either engine; with vLLM by `make check-vllm`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.client import Client
from assay.stack import Stack
from tests.checkpoints import NANO, nano_with
from tests.triton import vllm_environment


@pytest.fixture(scope="session", params=["assay", pytest.param("vllm", marks=pytest.mark.vllm)])
def checkpoint(request, tmp_path_factory) -> Iterator[Path]:
    """Nano, or its copy for vLLM; every stack that is started meanwhile has that engine."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRITON_SERVER_ENGINE", request.param)
        if request.param == "vllm":
            environment.setenv("TRITON_SERVER_ENVIRONMENT", str(vllm_environment()))
            environment.setenv("TRITON_SERVER_START_TIMEOUT_SECONDS", "1200")
            yield nano_with(tmp_path_factory.mktemp("quick") / "nano", "quick_gelu")
        else:
            yield NANO


@pytest.fixture(scope="session")
def stack(checkpoint, tmp_path_factory):
    with Stack(checkpoint=checkpoint, http_address="127.0.0.1:0", logs=tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def client(stack):
    with Client(stack.address) as connected:
        yield connected
