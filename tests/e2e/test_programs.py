"""The programs as an operator sees them: health, reflection, death and a clean end."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from assay.client import AsyncClient
from assay.errors import ModelUnavailable, ServiceUnavailable
from assay.stack import Stack
from benchmarks.stack.running import running
from tests.media.build import media

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PHOTO = ROOT / "demo" / "photo.jpg"
GRPC_PROGRAMS = {
    "gateway": "assay.v1.AssayService",
    "attribute_extraction": "assay.v1.AttributeExtractionService",
    "scoring": "assay.v1.ScoringService",
}


@pytest.mark.parametrize(("program", "service"), GRPC_PROGRAMS.items())
def test_a_program_says_that_its_service_is_healthy(stack, program, service):
    with grpc.insecure_channel(stack.addresses[program]) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(("program", "service"), GRPC_PROGRAMS.items())
def test_a_program_describes_its_service(stack, program, service):
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    with grpc.insecure_channel(stack.addresses[program]) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answer = next(iter(stub.ServerReflectionInfo(iter([question]), timeout=10)))
    assert service in [each.name for each in answer.list_services_response.service]


def test_the_command_line_prints_one_json_object_per_file(stack):
    command = [sys.executable, "-m", "assay.cli", "score", "--json", "--server", stack.address, str(PHOTO)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(result.stdout)) == {"file", "score", "attributes", "windows", "media", "model"}


def test_the_command_line_exits_with_one_if_a_file_is_no_picture(stack, tmp_path):
    (tmp_path / "letter.jpg").write_text("Dear reader")
    command = [sys.executable, "-m", "assay.cli", "score", "--server", stack.address, str(tmp_path / "letter.jpg")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 1


def test_a_table_of_opinions_is_evaluated_through_the_gateway(stack, tmp_path):
    rows = ["file,mos", f"{PHOTO},4.1", f"{media('jpeg.jpg')},2.0", f"{media('png.png')},3.9", "missing.jpg,1.0"]
    (tmp_path / "rated.csv").write_text("\n".join(rows))
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "evaluation", "correlation", "--form", "direct"]
    result = subprocess.run(
        [*command, "--manifest", str(tmp_path / "rated.csv"), "--server", stack.address, "--out", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(report.read_text())["n"] == 4, result.stderr


def model_processes() -> set[psutil.Process]:
    """Processes in which an engine runs, of every stack that this one has started."""
    return {p for p in psutil.Process().children(recursive=True) if p.name().startswith("triton_python")}


async def test_a_model_that_dies_is_said_to_be_unavailable_and_comes_back(stack, checkpoint):
    others = await asyncio.to_thread(model_processes)
    async with running(Stack(checkpoint=checkpoint)) as own, AsyncClient(own.address) as client:
        (victim,) = await asyncio.to_thread(model_processes) - others
        with pytest.raises(ModelUnavailable):
            await killed_while_it_reasons(client, victim)
        assert (await score_when_back(client)).score.value > 0


async def killed_while_it_reasons(client: AsyncClient, victim: psutil.Process) -> None:
    async for event in client.events(PHOTO):
        if event.HasField("reasoning"):
            victim.send_signal(signal.SIGKILL)


async def score_when_back(client: AsyncClient):
    deadline = time.monotonic() + 900
    while True:
        try:
            return await client.score(PHOTO, form="direct")
        except (ModelUnavailable, ServiceUnavailable):  # a service without its model does not serve
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)


def test_a_stack_leaves_no_process_and_no_shared_memory_behind(checkpoint, tmp_path):
    before = set(os.listdir("/dev/shm"))
    command = [sys.executable, "-m", "assay.cli", "up", "--address", "127.0.0.1:0", "--logs", str(tmp_path)]
    command += ["--http-address", "127.0.0.1:0", "--checkpoint", str(checkpoint)]
    up = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    children = wait_until_ready(up, tmp_path)
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert (alive, [name for name in set(os.listdir("/dev/shm")) - before if not is_foreign(name, children)]) == (
        [],
        [],
    )


def is_foreign(segment: str, children: Sequence[psutil.Process]) -> bool:
    """Whether it is of a Triton that another test runs at the same time."""
    named = re.match(r"assay_triton_(\d+)_", segment)
    return named is not None and int(named[1]) not in {child.pid for child in children}


def wait_until_ready(up: subprocess.Popen[str], logs: Path) -> list[psutil.Process]:
    """Processes of a stack, once its gateway serves."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline and up.poll() is None:
        children = psutil.Process(up.pid).children(recursive=True)
        if any("gateway.decode.worker" in " ".join(child.cmdline()) for child in children):
            return children
        time.sleep(0.2)
    raise AssertionError(f"the stack did not come up: {[path.read_text()[-500:] for path in logs.iterdir()]}")
