"""vLLM within the real Triton, on the CPU: what it answers, how it dies, and what it leaves behind."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from assay.checkpoint import read_checkpoint
from assay.errors import AssayError, ModelUnavailable
from assay.form import Free
from assay.frame import Clip, Frame
from assay.generator import Conversation, Event, Finished, NumberWritten
from assay.prompt import answer_form, question
from assay.triton import TritonGenerator
from tests.checkpoints import nano_with
from tests.triton import Triton, running_triton, until_gone, vllm_environment

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

PICTURE = Clip((Frame(np.full((168, 168, 3), 90, np.uint8)),), is_video=False)
ENDLESS = (Free("why", max_tokens=1500, stops=("no such words",)),)
RESTART_SECONDS = 900.0


@pytest.fixture(scope="module")
def quick_nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_with(tmp_path_factory.mktemp("quick") / "nano", "quick_gelu")


@pytest.fixture(scope="module")
def server(quick_nano: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    chosen = {
        "engine": "vllm",
        "environment": str(vllm_environment()),
        "warm_up": "true",
        "start_timeout_seconds": "1200",
    }
    with running_triton(quick_nano, tmp_path_factory.mktemp("vllm") / "log", **chosen) as running:
        yield running


@pytest.fixture
async def generator(server: Triton) -> AsyncIterator[TritonGenerator]:
    connected = TritonGenerator(server.address, idle_timeout_seconds=60)
    yield connected
    await connected.close()


def core_of(server: Triton) -> list[psutil.Process]:
    """vLLM's core, with the model in it."""
    children = psutil.Process(server.supervisor.pid).children(recursive=True)
    return [child for child in children if any("assay.vllm.serving" in each for each in child.cmdline())]


async def endless(generator: TritonGenerator) -> AsyncIterator[Event]:
    async for event in generator.generate(PICTURE, Conversation(f"Question {uuid.uuid4()}?"), ENDLESS):
        yield event


async def until_ready(generator: TritonGenerator) -> Finished:
    async with asyncio.timeout(RESTART_SECONDS):
        while True:
            try:
                return await generator.ready()
            except AssayError:
                await asyncio.sleep(0.5)


async def test_a_score_comes_through_triton(server: Triton, generator: TritonGenerator, quick_nano: Path) -> None:
    checkpoint = read_checkpoint(quick_nano)
    asked = Conversation(question(checkpoint, "direct", is_video=False))
    events = [each async for each in generator.generate(PICTURE, asked, answer_form(checkpoint, "direct"))]
    (number,) = [event for event in events if isinstance(event, NumberWritten)]
    assert [sum(shares) for shares in number.by_prefix.values()] == pytest.approx([1.0] * len(number.by_prefix))
    assert len(core_of(server)) == 1


async def test_leaving_makes_room_for_others(generator: TritonGenerator) -> None:
    # More than are advanced together and may wait.
    for _ in range(6):
        several = [endless(generator) for _ in range(8)]
        await asyncio.gather(*(anext(each) for each in several))
        await asyncio.gather(*(each.aclose() for each in several))
    assert await generator.ready()


async def test_a_core_that_dies_in_mid_answer_is_said_and_replaced(server: Triton, generator: TritonGenerator) -> None:
    before, answer = core_of(server), endless(generator)
    await anext(answer)
    before[0].send_signal(signal.SIGKILL)
    with pytest.raises(ModelUnavailable, match="may succeed again"):
        [event async for event in answer]
    assert until_gone([process.pid for process in before]) == []
    assert await until_ready(generator)
    assert not {each.pid for each in core_of(server)} & {each.pid for each in before}


def test_nothing_of_vllm_is_left_of_a_stub_that_is_killed(server: Triton) -> None:
    (core,) = core_of(server)
    folder = Path(core.environ()["TMPDIR"])
    assert folder.is_dir()
    os.kill(server.pids()["stub"], signal.SIGKILL)
    assert until_gone([core.pid]) == []
    # By a process that outlives both.
    for _ in range(100):
        if not folder.exists():
            break
        time.sleep(0.1)
    assert not folder.exists()
