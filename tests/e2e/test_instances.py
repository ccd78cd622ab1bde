"""Several engines in one real Triton, on the CPU; and a server that is already there."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from assay.form import Choice, Form
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.triton import TritonGenerator
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.triton import Triton, running_triton
from triton_server.install import DEFAULT_DIRECTORY, binaries
from triton_server.processes import children_of

pytestmark = pytest.mark.slow

PICTURE = Clip((Frame(np.full((56, 56, 3), 90, np.uint8)),), is_video=False)
# Of decisions, two events each, since random weights end a free text at any token.
ENDLESS = Form(tuple(Choice(f"{number}", (" a", " b", " c")) for number in range(400)))
CANCELS = 1_000
AT_ONCE = 8


@pytest.fixture(scope="module")
def already_there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's server, laid out as in NVIDIA's image: bin/ and backends/."""
    directory = tmp_path_factory.mktemp("opt")
    for name in ("bin", "backends"):
        (directory / name).symlink_to(binaries(DEFAULT_DIRECTORY) / name)
    return directory


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, already_there: Path) -> Iterator[Triton]:
    monkeypatch = pytest.MonkeyPatch()
    directory = tmp_path_factory.mktemp("two")
    checkpoint = write_tiny_checkpoint(directory / "tiny")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    chosen = {"instances": "2", "directory": str(already_there), "max_waiting": "64"}
    with running_triton(checkpoint, directory / "log", **chosen) as server:
        monkeypatch.undo()
        yield server


def stubs(server: Triton) -> list[int]:
    return [child.pid for child in children_of(server.pids()["server"]) if child.name == "triton_python_b"]


def command_line(server: Triton) -> list[str]:
    return Path(f"/proc/{server.pids()['server']}/cmdline").read_text().split("\0")


async def cancelled_after_three(generator: TritonGenerator) -> int:
    """Leaves an endless answer after three events; how many more came before the engine had heard it."""
    events = generator.generate(PICTURE, Conversation(f"Question {uuid.uuid4()}?"), ENDLESS)
    for _ in range(3):
        await anext(events)
    streams = {stream for each in generator._streams.values() for stream in each}
    (stream,) = {stream for stream in streams if not stream.ended.done() and stream._leaving is None}
    before = stream.events.qsize()
    await events.aclose()
    await stream.ended
    return stream.events.qsize() - before


async def cancel(server: Triton, count: int) -> list[int]:
    """Events that came after each of so many cancels."""
    generators = [TritonGenerator(server.address, idle_timeout_seconds=60) for _ in range(AT_ONCE)]

    async def some(generator: TritonGenerator) -> list[int]:
        return [await cancelled_after_three(generator) for _ in range(count // AT_ONCE)]

    late = [events for several in await asyncio.gather(*map(some, generators)) for events in several]
    await asyncio.gather(*(generator.close() for generator in generators))
    return late


async def test_every_cancel_is_heard_by_the_instance_that_writes(two: Triton) -> None:
    assert len(stubs(two)) == 2
    late = await cancel(two, 80)
    # Of 800. On a loaded machine a process may not run for many of the tiny model's steps.
    assert [events for events in late if events > 400] == []


@pytest.mark.alone
async def test_a_thousand_cancels_of_a_thousand_are_heard_within_16_events(two: Triton) -> None:
    late = await cancel(two, CANCELS)
    assert (len(late), [events for events in late if events > 16]) == (CANCELS, [])


async def test_a_server_that_is_already_there_answers_with_our_model_repository(
    two: Triton, already_there: Path
) -> None:
    generator = TritonGenerator(two.address, idle_timeout_seconds=60)
    finished = await generator.ready()
    await generator.close()
    assert finished.checkpoint_fingerprint
    assert command_line(two)[0] == str(already_there / "bin/tritonserver")


def test_which_gpus_there_are_reaches_the_model(two: Triton) -> None:
    variables = Path(f"/proc/{stubs(two)[0]}/environ").read_text().split("\0")
    assert "CUDA_VISIBLE_DEVICES=0" in variables
