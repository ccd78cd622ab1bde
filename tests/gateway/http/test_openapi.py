"""The OpenAPI document against the code: every route is in it, and made-up requests get what it says."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from gateway.http.rest import KNOWN, Rest
from gateway.http.server import document
from gateway.http.uploads import Slices
from tests.gateway.http.serving import http_client

pytestmark = pytest.mark.asyncio(loop_scope="session")
CASES = 2000


async def test_every_route_under_v1_is_described_and_nothing_else():
    routes = [*Rest(None, None).routes(), *Slices(None, None).routes()]
    served = {(route.path, method.lower()) for route in routes for method in route.methods - {"HEAD"}}
    described = {(path, method) for path, methods in document()["paths"].items() for method in methods}
    assert served == described


@pytest.mark.parametrize("kind", ["images", "videos", "uris"])
async def test_every_parameter_of_a_scoring_is_described(kind):
    described = document()
    used = [each["$ref"].rpartition("/")[2] for each in described["paths"][f"/v1/{kind}:score"]["post"]["parameters"]]
    assert (tuple(used), {*used} - {*described["components"]["parameters"]}) == (KNOWN, set())


async def made_up(client, examples, *phases):
    """(number of requests, report of what was wrong about their answers) of schemathesis."""
    command = (
        *(Path(sys.executable).with_name("schemathesis"), "run", f"{client.base_url}/v1/openapi.json"),
        *("--max-examples", str(examples), "--phases", ",".join(phases), "--seed", "1"),
        # A made-up body that fits the schema is no picture all the same, and rightly refused.
        *("--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all", "--warnings", "off"),
    )
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output = (await running.communicate())[0].decode()
    made = re.search(r"(\d+) generated", output)
    return int(made.group(1)) if made else 0, "" if running.returncode == 0 else output


async def test_made_up_requests_are_answered_as_described(pool):
    async with http_client(pool) as client:
        made, report = await made_up(client, 3, "fuzzing")
    assert (made >= 10, report) == (True, "")


@pytest.mark.browser_full
async def test_two_thousand_made_up_requests_are_answered_as_described(pool):
    async with http_client(pool) as client:
        made, report = await made_up(client, 400, "coverage", "fuzzing")
    assert (made >= CASES, report) == (True, "")
