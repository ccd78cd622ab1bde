"""Options of gRPC: it takes any name and says nothing of those that it does not know."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc

from assay.rpc.options import CHANNEL, CHECKED_CHANNEL, SERVER


@pytest.mark.parametrize("name", sorted({name for name, _ in (*SERVER, *CHANNEL, *CHECKED_CHANNEL)}))
def test_every_option_is_one_that_grpc_knows(name: str) -> None:
    assert name.encode() + b"\0" in Path(cygrpc.__file__).read_bytes()


async def _silent(_request: bytes, _context: object) -> AsyncIterator[bytes]:
    await asyncio.sleep(6)
    yield b"said at last"


async def test_a_call_in_which_nothing_is_said_outlives_the_pings() -> None:
    """A tenth of the real times: with more than three pings in silence gRPC's own limit would end the call."""
    server = grpc.aio.server(options=[*_faster(SERVER, "grpc.http2.min_ping_interval_without_data_ms")])
    handler = grpc.unary_stream_rpc_method_handler(_silent)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Silent": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=_faster(CHANNEL, "grpc.keepalive_time_ms")
    ) as channel:
        # Longer than what gRPC keeps to begin a broken call anew.
        answers = [answer async for answer in channel.unary_stream("/t.T/Silent")(b"\0" * 2_000_000)]
    await server.stop(0)
    assert answers == [b"said at last"]


def _faster(options: list[tuple[str, int | str]] | list[tuple[str, int]], name: str) -> list[tuple[str, int | str]]:
    return [(each, int(value) // 10 if each == name else value) for each, value in options]
