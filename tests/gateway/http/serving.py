"""The HTTP face on a real socket, in front of a gateway of tests.gateway.serving."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from assay.rpc.security import OPEN, Security
from gateway.decode.jobs import DecodePool
from gateway.http.server import serving_http
from tests.gateway.serving import gateway
from tests.scripted_generator import ScriptedGenerator


@asynccontextmanager
async def http_client(
    pool: DecodePool, model: ScriptedGenerator | None = None, security: Security = OPEN, **settings: Any
) -> AsyncIterator[Any]:
    """An HTTP client of a gateway with a model that answers as it is scripted."""
    model = model or ScriptedGenerator(texts={"composition_reason": " calm"}, choices={"clarity": " very clear"})
    async with (
        gateway(pool, model, model, http_address="127.0.0.1:0", **settings) as caller,
        serving_http(*caller.program, security) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", timeout=30) as client,
    ):
        yield client


def events_in(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(kind, data) of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((lines["event"], json.loads(lines["data"])))
    return found
