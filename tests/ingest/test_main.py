"""`python -m ingest` as a real process: a playlist on a web server in, a line of JSON per window out."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.gateway.serving import gateway
from tests.ingest.test_pull import WHOLE
from tests.scripted_generator import ScriptedGenerator
from tests.web_server import web_server

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
ROOT = Path(__file__).parents[2]


async def run(**settings):
    """Exit code, stdout and the last line of stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ingest",
        cwd=ROOT,
        env={**os.environ, **{f"INGEST_{name}": str(value) for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode().splitlines()[-1] if err else ""


async def test_every_window_of_a_playlist_is_a_line(pool, tmp_path):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller, web_server(tmp_path, WHOLE, "localhost") as server:
        code, out, _ = await run(
            SOURCE=server.uri("/list.m3u8", "localhost"),
            SERVER=caller.address,
            ALLOWED_HOSTS=f"localhost:{server.port}",
            ALLOWED_NETWORKS="127.0.0.0/8,::1/128",
            AUTHORITIES=server.authorities,
            WINDOW_SECONDS=2,
            LATENESS="wait",
        )
    windows = [json.loads(line) for line in out.splitlines()]
    assert (code, [window["start_seconds"] for window in windows]) == (0, [0.0, 2.0, 4.0])


async def test_nothing_is_pulled_that_is_not_allowed(pool):
    code, out, last = await run(SOURCE="https://media.test/list.m3u8")
    assert (code, out) == (2, "")
    assert "INGEST_ALLOWED_HOSTS is empty" in last


async def test_a_program_without_a_source_says_what_to_set(pool):
    assert json.loads((await run())[2])["message"].startswith("INGEST_SOURCE names nothing to pull")
