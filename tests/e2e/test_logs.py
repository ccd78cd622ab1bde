"""One photo through the real stack: its id is in the log of every program, and in an error."""

import json
from collections import defaultdict

import grpc
import pytest

from assay.rpc.errors import error_from
from assay.v1 import assay_pb2, assay_pb2_grpc
from tests.media.build import media

pytestmark = pytest.mark.slow
PROGRAMS = {"gateway", "decode_worker", "attribute_extraction", "scoring", "engine"}


@pytest.fixture(scope="module")
def logs(stack):
    """Every line that the stack has written, once a photo was scored as `photo-1` and another refused as `bad-1`."""
    with grpc.insecure_channel(stack.address) as channel:
        stub = assay_pb2_grpc.AssayServiceStub(channel)
        photo = assay_pb2.ScoreImageRequest(image=media("jpeg.jpg").read_bytes())
        stub.ScoreImage(photo, metadata=[("x-request-id", "photo-1")], timeout=120)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ScoreImage(assay_pb2.ScoreImageRequest(image=b"?"), metadata=[("x-request-id", "bad-1")], timeout=120)
    lines = {path.stem: path.read_text().splitlines() for path in stack.logs.glob("*.log")}
    return lines, refused.value


def test_the_id_of_a_request_is_in_the_log_of_every_program(logs):
    found = defaultdict(set)
    for lines in logs[0].values():
        for line in lines:
            if line.startswith("{"):
                said = json.loads(line)
                found[said.get("request_id")].add(said["program"])
    assert found["photo-1"] >= PROGRAMS


def test_the_supervisor_of_triton_passes_on_what_the_engine_says_of_a_request(logs):
    assert any('"photo-1"' in line for line in logs[0]["triton_server"])


def test_all_that_is_logged_is_json(logs):
    printed = ("ready ", "http gateway ")
    odd = [line for lines in logs[0].values() for line in lines if not line.startswith(printed) and line[:1] != "{"]
    assert odd == []


def test_the_id_of_a_request_is_in_its_error(logs):
    assert error_from(logs[1]).request_id == "bad-1"
