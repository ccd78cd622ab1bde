"""One stack for all end-to-end tests: every program in its own process, the real Triton, the checkpoint of the repo."""

import pytest

from assay.client import Client
from assay.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    with Stack(http_address="127.0.0.1:0", logs=tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def client(stack):
    with Client(stack.address) as connected:
        yield connected
