"""`python -m services.scoring` and `python -m services.attribute_extraction`, as real processes without a Triton."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from assay.errors import ModelUnavailable
from assay.rpc.channel import channel
from assay.v1 import score_pb2, scoring_pb2_grpc
from tests.checkpoints import ASSAY_TOML
from tests.services.serving import answers, picture, to_score

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "scoring": "assay.v1.ScoringService",
    "attribute_extraction": "assay.v1.AttributeExtractionService",
}


@pytest.fixture
def settings(tmp_path) -> dict[str, str]:
    """Of a program that starts, but finds no Triton: port 1 is nobody's."""
    (tmp_path / "assay.toml").write_text(ASSAY_TOML)
    return {"ADDRESS": f"unix:{tmp_path}/s", "TRITON": "127.0.0.1:1", "CHECKPOINT": str(tmp_path)}


async def start(program: str, settings: dict[str, str]) -> asyncio.subprocess.Process:
    prefixed = {f"{program.upper()}_{name}": value for name, value in settings.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{program}",
        cwd=ROOT,
        env={**os.environ, **prefixed},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def started(
    program: str, settings: dict[str, str]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    process = await start(program, settings)
    try:
        async with asyncio.timeout(30), channel(settings["ADDRESS"]) as to:
            await to.channel_ready()
            yield process, to
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def last_words(program: str, settings: dict[str, str]) -> tuple[int | None, str]:
    process = await start(program, settings)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, str(json.loads(stderr.decode().splitlines()[-1])["message"])


@pytest.mark.parametrize("program", PROGRAMS)
async def test_health_does_not_call_a_program_without_a_model_serving(program, settings):
    async with started(program, settings) as (_, to):
        request = health_pb2.HealthCheckRequest(service=PROGRAMS[program])
        response = await health_pb2_grpc.HealthStub(to).Check(request)
    assert response.status == health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("program", PROGRAMS)
async def test_reflection_names_the_service(program, settings):
    async with started(program, settings) as (_, to):
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = await reflection_pb2_grpc.ServerReflectionStub(to).ServerReflectionInfo(iter([ask])).read()
    assert PROGRAMS[program] in [service.name for service in answer.list_services_response.service]


@pytest.mark.parametrize("program", PROGRAMS)
async def test_sigterm_ends_a_program_with_0_and_no_ready_line_without_a_model(program, settings):
    async with started(program, settings) as (process, _):
        process.send_signal(signal.SIGTERM)
        stdout, _ = await process.communicate()
    assert (process.returncode, stdout) == (0, b"")


async def test_a_request_without_triton_is_a_typed_error(settings):
    async with started("scoring", settings) as (_, to):
        with pytest.raises(ModelUnavailable):
            await answers(
                scoring_pb2_grpc.ScoringServiceStub(to).Score, to_score(picture(), score_pb2.ANSWER_FORM_DIRECT)
            )


async def test_a_misspelt_variable_stops_the_program(settings):
    code, words = await last_words("scoring", {**settings, "ADRESS": "127.0.0.1:0"})
    assert (code, words) == (2, "SCORING_ADRESS is no setting; the closest is SCORING_ADDRESS")


async def test_a_port_in_use_stops_the_program(settings):
    async with started("scoring", settings):
        code, words = await last_words("scoring", settings)
    assert (code, words.split(": ")[1]) == (2, "it is in use, or not an address of this machine; choose another")


async def test_a_directory_without_a_checkpoint_stops_the_program(settings, tmp_path):
    code, words = await last_words("scoring", {**settings, "CHECKPOINT": str(tmp_path / "nowhere")})
    assert code == 2
    assert words.endswith("nowhere/assay.toml is missing: a checkpoint needs its prompts and forms")


async def test_a_service_never_loads_torch_or_pyav():
    check = "import sys, services.{0}.__main__; print(sorted({{'torch', 'av'}} & set(sys.modules)))"
    for program in PROGRAMS:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", check.format(program), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        stdout, _ = await process.communicate()
        assert stdout == b"[]\n"
