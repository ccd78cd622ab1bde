"""assay/rpc/logs.py: one JSON object a line."""

import json
import logging
import os
import subprocess
import sys

import pytest

from assay.rpc.call import request_id
from assay.rpc.logs import JsonLines


def line(message: str, *arguments: object, facts: dict[str, object] | None = None, error: bool = False):
    record = logging.LogRecord("x", logging.WARNING, __file__, 1, message, arguments, sys.exc_info() if error else None)
    if facts:
        record.facts = facts
    return json.loads(JsonLines("gateway").format(record))


def test_a_line_has_time_level_program_and_message():
    found = line("%d frames", 3)
    assert (found["level"], found["program"], found["message"]) == ("warning", "gateway", "3 frames")
    assert found["time"].endswith("Z")


@pytest.mark.parametrize("program", ["gateway", "services.scoring", "triton_server", "ingest"])
def test_grpc_writes_no_lines_of_its_own_into_a_program_s_log(program):
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    asked = f"import os, sys, {program}; print(os.environ['GRPC_VERBOSITY'], 'grpc' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "NONE False\n"  # it reads the variable when it is imported


def test_facts_stand_by_their_names():
    assert line("decoded", facts={"frames": 3, "codec": "h264"})["codec"] == "h264"


def test_a_line_belongs_to_the_request_of_its_task():
    token = request_id.set("photo-1")
    try:
        assert line("decoded")["request_id"] == "photo-1"
    finally:
        request_id.reset(token)


def test_a_generation_belongs_to_its_request():
    found = line("generation ends", facts={"request_id": "photo-1:early"})
    assert (found["request_id"], found["generation"]) == ("photo-1", "early")


def test_what_is_empty_is_left_out():
    assert not {"request_id", "generation", "exception"} & line("started").keys()


def test_an_exception_stands_in_the_same_line():
    try:
        raise ValueError("of a test")
    except ValueError:
        assert "ValueError: of a test" in line("failed", error=True)["exception"]
