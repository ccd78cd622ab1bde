"""The supervisor around the real Triton, with the real engine over a tiny random checkpoint."""

import asyncio
import itertools
import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import assay
from assay.errors import AssayError, InvalidRequest, ModelUnavailable, OutOfTime, SettingsError
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation, Finished, NumberWritten, Wrote
from assay.rpc.call import set_deadline
from assay.triton import TritonGenerator
from tests.tiny_checkpoint import write_tiny_checkpoint
from tests.triton import Triton, running_triton, start_triton, until_gone
from triton_server.__main__ import main
from triton_server.settings import Ports, TritonServerSettings, check_free
from triton_server.supervisor import _watch, _watch_canaries
from triton_server.tls import Renewal

pytestmark = pytest.mark.slow

PICTURE = Clip((Frame(np.full((112, 112, 3), 90, np.uint8)),), is_video=False)
QUESTION = Conversation("How good is this?")
FORM = Form((Literal("Score:"), Choice("clutter", (" a", " b")), Digits("score", lead=" "), Free("why", max_tokens=8)))
ENDLESS = Form((Free("why", max_tokens=1500, stops=("no such words",)),))
IDLE_SECONDS = 20.0
"""Of the client: what comes by then was noticed by nothing else. A free machine takes two seconds."""
_numbers = itertools.count()


def new_question() -> Conversation:
    """One that no answer has been drafted for: a known answer is read in one forward and comes in one message."""
    return Conversation(f"How good is number {next(_numbers)}?")


@pytest.fixture
async def generator(triton_server):
    connected = TritonGenerator(triton_server.address, idle_timeout_seconds=IDLE_SECONDS, connect_timeout_seconds=5)
    yield connected
    await connected.close()


async def answer(generator, clip=PICTURE, conversation=QUESTION, form=FORM):
    return [event async for event in generator.generate(clip, conversation, form)]


async def nothing() -> float:
    """Responses of an engine that has sent none."""
    return 0.0


async def ready_again(generator, seconds=60.0):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await generator.ready()
        except ModelUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


def shared_memory(server_or_pid) -> list[Path]:
    pid = server_or_pid.supervisor.pid if isinstance(server_or_pid, Triton) else server_or_pid
    return list(Path("/dev/shm").glob(f"assay_triton_{pid}_*"))


async def test_events_come_through_triton_as_the_engine_wrote_them(generator):
    events = await answer(generator)
    assert [type(event) for event in events if not isinstance(event, Wrote)] == [Chose, NumberWritten, Finished]
    chose = next(event for event in events if isinstance(event, Chose))
    counted = next(event for event in events if isinstance(event, NumberWritten))
    text = "".join(event.text for event in events if isinstance(event, Wrote))
    assert text.startswith(f"Score:{chose.option} {counted.written}")
    assert sum(chose.probabilities.values()) == pytest.approx(1)
    assert sum(counted.by_prefix[""]) == pytest.approx(1)
    assert events[-1].checkpoint_fingerprint == (await generator.ready()).checkpoint_fingerprint


async def test_what_is_found_again_stands_in_the_metrics(triton_server, generator):
    before = await settled_metrics(triton_server)
    for tenant in ("acme", "acme", "others"):
        await answer(generator, conversation=Conversation("How good is this one?", tenant=tenant))
    after = await settled_metrics(triton_server)
    changed = {name: after[name] - before.get(name, 0) for name in after}
    assert changed["assay_engine_prefixes_found_total"] == 1
    assert changed["assay_engine_prefixes_missed_total"] == 2
    assert changed["assay_engine_frame_groups_missed_total"] == 2
    assert after["assay_engine_prefix_bytes"] > 0
    assert after[f'assay_build_info{{program="triton_server",version="{assay.__version__}"}}'] == 1


async def settled_metrics(server: Triton) -> dict[str, float]:
    """They are updated right behind an answer's last response, each by a message of its own to the server."""
    found: dict[str, float] = {}
    for _ in range(20):
        before, found = found, served_metrics(server)
        if before == found:
            break
        await asyncio.sleep(0.5)
    return found


def served_metrics(server: Triton) -> dict[str, float]:
    command = Path(f"/proc/{server.pids()['server']}/cmdline").read_text().split("\0")
    port = next(each.partition("=")[2] for each in command if each.startswith("--metrics-port="))
    lines = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode().splitlines()
    return {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("assay_")}


@pytest.mark.gpu
async def test_the_same_repository_serves_from_a_gpu(triton_server, generator, tmp_path):
    with running_triton(write_tiny_checkpoint(tmp_path / "tiny"), tmp_path / "log", device="cuda:0") as server:
        on_gpu = TritonGenerator(server.address, idle_timeout_seconds=20, connect_timeout_seconds=5)
        mine, theirs = await answer(on_gpu), await answer(generator)
        await on_gpu.close()
    assert [event for event in mine if isinstance(event, Wrote)] == [
        event for event in theirs if isinstance(event, Wrote)
    ]


async def test_answers_to_several_at_once_do_not_mix(generator):
    questions = [Conversation(f"Question {number}?") for number in range(6)]
    alone = [await answer(generator, conversation=question) for question in questions]
    together = await asyncio.gather(*(answer(generator, conversation=question) for question in questions))
    texts = [["".join(e.text for e in events if isinstance(e, Wrote)) for events in run] for run in (alone, together)]
    assert texts[0] == texts[1]


async def test_an_answer_goes_on_from_what_stands(generator):
    whole = await answer(generator)
    score = next(event for event in whole if isinstance(event, NumberWritten))
    written = [event.text for event in whole if isinstance(event, Wrote)]
    stands = Conversation(QUESTION.question, answered=tuple(written[:2]))
    again = await answer(generator, conversation=stands, form=FORM.starting_at("score"))
    assert next(event for event in again if isinstance(event, NumberWritten)).written == score.written


async def test_what_the_engine_refuses_is_the_same_error_here(generator):
    with pytest.raises(InvalidRequest, match="tokens"):
        await answer(generator, conversation=Conversation("word " * 20_000))
    assert await answer(generator)


async def test_frames_of_ten_megabytes_are_one_request(generator):
    clip = Clip(tuple(Frame(np.zeros((448, 448, 3), np.uint8), float(second)) for second in range(16)), is_video=True)
    assert isinstance((await answer(generator, clip=clip))[-1], Finished)


async def test_the_engine_drops_what_cannot_end_in_time(generator):
    set_deadline(0.2)
    # Each is more than the engine can do in that time, and nobody waits for their silence.
    endings = (answer(generator, conversation=new_question(), form=ENDLESS) for _ in range(4))
    assert {type(ending) for ending in await asyncio.gather(*endings, return_exceptions=True)} == {OutOfTime}


@pytest.mark.parametrize("how", ["aclose", "cancelled task", "at once"])
async def test_leaving_cancels_in_the_engine(generator, how):
    started = time.monotonic()
    await answer(generator, conversation=new_question(), form=ENDLESS)
    whole_seconds = time.monotonic() - started

    async def leave() -> None:
        events = generator.generate(PICTURE, new_question(), ENDLESS)
        if how == "aclose":
            await anext(events)
            await events.aclose()
            return
        begun = asyncio.Event()
        task = asyncio.create_task(anext(events) if how == "at once" else read_until_cancelled(events, begun))
        # No fixed time: a quick machine writes all of it in a tenth of a second.
        await (asyncio.sleep(0) if how == "at once" else begun.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    # As many as the engine has places. If they went on, they would take eight times as long as one.
    await asyncio.gather(*(leave() for _ in range(8)))
    await generator.close()  # waits for the server's word on each of them
    assert time.monotonic() - started < max(4 * whole_seconds, 2.0)
    assert await answer(generator)


async def read_until_cancelled(events, begun: asyncio.Event | None = None) -> None:
    async for _ in events:
        if begun is not None:
            begun.set()


async def test_a_client_that_dies_frees_its_place(generator, triton_server):
    dying = TritonGenerator(triton_server.address, idle_timeout_seconds=60)
    # More than there is room for, so that some have just begun whenever the others end.
    asked = [asyncio.create_task(anext(dying.generate(PICTURE, new_question(), ENDLESS))) for _ in range(24)]
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    await dying._channel.close()  # every stream is torn off, as by a kill
    assert await answer(generator)
    deadline = time.monotonic() + 60
    while "the client has left" not in triton_server.log.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    # Some of them would wait out their idle timeout on the closed channel.
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def test_a_killed_stub_fails_what_is_in_flight_and_is_replaced(generator, triton_server):
    before = triton_server.pids()
    events = generator.generate(PICTURE, new_question(), ENDLESS)
    await anext(events)
    os.kill(before["stub"], signal.SIGKILL)
    killed = time.monotonic()
    with pytest.raises(ModelUnavailable):
        await read_until_cancelled(events)
    assert time.monotonic() - killed < IDLE_SECONDS / 3
    # The next one too, while it loads.
    stub = await asyncio.to_thread(next_stub, triton_server, before["stub"])
    os.kill(stub, signal.SIGKILL)
    await ready_again(generator)
    assert isinstance((await answer(generator))[-1], Finished)
    assert until_gone([*before.values(), stub]) == []
    assert len(shared_memory(triton_server)) == 1


@pytest.mark.parametrize("who", ["stub", "server"])
async def test_a_stopped_process_that_goes_on_is_not_replaced(generator, triton_server, who):
    before = triton_server.pids()
    events = generator.generate(PICTURE, new_question(), ENDLESS)
    await anext(events)
    os.kill(before[who], signal.SIGSTOP)
    try:
        asked = [read_until_cancelled(events), *(answer(generator) for _ in range(3))]
        reported = await asyncio.gather(*(seconds_to_unavailable(each) for each in asked))
    finally:
        os.kill(before[who], signal.SIGCONT)
    assert max(reported) < IDLE_SECONDS / 3
    await ready_again(generator)
    assert isinstance((await answer(generator))[-1], Finished)
    assert triton_server.pids() == before


def next_stub(server: Triton, old: int) -> int:
    """The process id of the stub that comes after the old one, as soon as it is there."""
    deadline = time.monotonic() + 60
    while (stub := server.pids().get("stub")) in (None, old):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return stub


async def seconds_to_unavailable(asking) -> float:
    started = time.monotonic()
    with pytest.raises(ModelUnavailable):
        await asking
    return time.monotonic() - started


async def test_nobody_may_load_models_over_grpc(triton_server):
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    async with grpc.aio.insecure_channel(triton_server.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="qwen2_vl"))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    from tests.tiny_checkpoint import write_tiny_checkpoint

    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


def test_sigterm_leaves_nothing_behind(tiny, tmp_path):
    with running_triton(tiny, tmp_path / "log") as server:
        pids = server.pids()
        assert set(pids) == {"leash", "server", "stub"}
        assert shared_memory(server)
    assert until_gone([*pids.values()], 0.5) == []
    assert shared_memory(server) == []
    host, port = server.address.split(":")
    with socket.socket() as listening:
        # Of connections that the server had ended the system keeps the port for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))


def test_sigterm_while_the_model_loads_ends_it_at_once(tiny, tmp_path):
    supervisor = start_triton(tiny, tmp_path / "log", grace_seconds="60")
    starting = Triton(supervisor, "", tmp_path / "log")
    while "stub" not in starting.pids():
        time.sleep(0.05)
    pids = starting.pids()
    supervisor.terminate()
    assert supervisor.wait(10) == 0
    assert until_gone([*pids.values()], 0.5) == []


async def test_a_process_that_stays_stopped_is_trouble():
    holding = SimpleNamespace(trouble=lambda: "", hold_while_stopped=lambda: True, responses=nothing)
    settings = TritonServerSettings(max_stopped_seconds=0.3)
    health = []

    async def set_health(is_serving: bool) -> None:
        health.append(is_serving)

    assert "did not go on" in await _watch(holding, "127.0.0.1:1", settings, set_health, Renewal(settings))
    assert health == [False]


async def test_a_port_that_is_taken_before_a_restart_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = Ports(grpc=taken.getsockname()[1], http=0, metrics=0)
        with pytest.raises(SettingsError, match="TRITON_SERVER_GRPC_PORT: cannot listen"):
            check_free(TritonServerSettings(), ports)


def test_a_killed_supervisor_leaves_nothing_behind(tiny, tmp_path):
    with running_triton(tiny, tmp_path / "log") as server:
        pids = server.pids()
        server.supervisor.kill()
        assert until_gone([*pids.values()], 3) == []
        assert shared_memory(server) == []


def test_a_bad_checkpoint_says_what_is_wrong_with_it(tmp_path):
    supervisor = start_triton(tmp_path / "nowhere", tmp_path / "log")
    out, _ = supervisor.communicate(timeout=60)
    assert (supervisor.returncode, out) == (1, b"")
    last = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    assert (last["level"], last["message"]) == ("critical", "there is no checkpoint directory 'nowhere'")
    assert shared_memory(supervisor.pid) == []


async def test_three_canaries_without_an_answer_are_trouble():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = TritonServerSettings(canary_interval_seconds=0.01, canary_timeout_seconds=0.1)
        started = time.monotonic()
        running = asyncio.Event()
        running.set()
        trouble = await _watch_canaries(f"127.0.0.1:{silent.getsockname()[1]}", settings, running, nothing)
    assert "3 canaries in a row" in trouble
    assert time.monotonic() - started < 5


async def test_a_canary_that_waits_behind_a_model_that_advances_does_not_count():
    settings, counts = TritonServerSettings(canary_interval_seconds=0.01, canary_timeout_seconds=0.01), iter(range(99))
    running = asyncio.Event()
    running.set()

    async def advancing() -> float:
        # Nobody answers at this address; what is sent to others rises nine times, and then no more.
        return min(next(counts), 9)

    assert "3 canaries in a row" in await _watch_canaries("127.0.0.1:1", settings, running, advancing)
    assert next(counts) >= 10 + 3


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        supervisor = start_triton(tmp_path, tmp_path / "log", grpc_port=str(port))
        supervisor.communicate(timeout=30)
    assert supervisor.returncode == 1
    assert f"TRITON_SERVER_GRPC_PORT: cannot listen on 127.0.0.1:{port}" in (tmp_path / "log").read_text()


async def test_a_killed_leash_is_replaced_too(generator, triton_server):
    before = triton_server.pids()
    os.kill(before["leash"], signal.SIGKILL)
    assert until_gone([*before.values()]) == []
    with pytest.raises(AssayError):
        await generator.ready()
    await ready_again(generator)


def test_a_port_that_is_open_to_the_network_has_to_be_wanted(monkeypatch, capsys):
    monkeypatch.setenv("TRITON_SERVER_HOST", "0.0.0.0")
    assert main([]) == 1
    assert "TRITON_SERVER_INSECURE=true" in capsys.readouterr().err
