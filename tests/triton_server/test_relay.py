"""triton_server/relay.py"""

import asyncio
import json
import logging

from assay.rpc.logs import JsonLines
from triton_server.relay import Relay


async def relayed(*lines: bytes, limit: int = 1 << 16) -> Relay:
    reader = asyncio.StreamReader(limit=limit)
    for line in lines:
        reader.feed_data(line + b"\n")
    reader.feed_eof()
    relay = Relay(reader)
    await relay.end()
    return relay


async def test_a_line_of_the_model_goes_on_as_it_is(capsys):
    line = json.dumps({"program": "engine", "message": "ready"})
    await relayed(line.encode())
    assert capsys.readouterr().err == f"{line}\n"


async def test_what_triton_prints_becomes_a_line_of_json(caplog):
    await relayed(b"E1130 it is 100% broken")
    said = json.loads(JsonLines("triton_server").format(caplog.records[0]))
    assert (said["program"], said["message"]) == ("triton", "E1130 it is 100% broken")


async def test_it_knows_which_requests_the_model_is_at(capsys):
    lines = [
        {"message": "generation begins", "request_id": "a", "generation": "1"},
        {"message": "generation begins", "request_id": "b", "generation": "2"},
        {"message": "generation ended", "request_id": "a", "generation": "1"},
    ]
    assert (await relayed(*(json.dumps(line).encode() for line in lines))).generations == {"2": "b"}


async def test_a_line_without_end_does_not_stop_it(caplog):
    caplog.set_level(logging.WARNING)
    await relayed(b"x" * 5000, b"short", limit=1000)
    assert caplog.records[-1].getMessage() == "short"
