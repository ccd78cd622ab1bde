"""TritonGenerator against a scripted stand-in that speaks Triton's protocol. tests/triton_server has the real one."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, np_to_triton_dtype, serialize_byte_tensor, triton_to_np_dtype

from assay.errors import BadMedia, Busy, InvalidRequest, ModelUnavailable, OutOfTime, OverLimit
from assay.form import Form, Free
from assay.frame import Clip, Frame
from assay.generator import Conversation, Finished, Wrote
from assay.rpc.call import priority, set_deadline
from assay.tensors import Cancel, GenerationRequest, events_to_tensors, request_from_tensors
from assay.triton import TritonGenerator, stream
from assay.triton import generator as triton_generator

CLIP = Clip((Frame(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)),), is_video=False)
QUESTION = Conversation("How good is this „really“?")
FORM = Form((Free("why"),))
WROTE, FINISHED = Wrote("why", "Sharp."), Finished("complete", "5c819ed5", 12, 3)


def unpacked(message) -> dict[str, np.ndarray]:
    """By NVIDIA's own functions, so that ours are compared with them."""
    tensors = {}
    for tensor, raw in zip(message.inputs, message.raw_input_contents, strict=True):
        is_text = tensor.datatype == "BYTES"
        flat = deserialize_bytes_tensor(raw) if is_text else np.frombuffer(raw, triton_to_np_dtype(tensor.datatype))
        tensors[tensor.name] = flat.reshape(tuple(tensor.shape))
    return tensors


def response(*events) -> service_pb2.ModelStreamInferResponse:
    answer = service_pb2.ModelStreamInferResponse()
    for name, array in events_to_tensors(events).items():
        is_text = array.dtype == np.object_
        datatype = "BYTES" if is_text else np_to_triton_dtype(array.dtype)
        answer.infer_response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        raw = serialize_byte_tensor(array).item() if is_text else array.tobytes()
        answer.infer_response.raw_output_contents.append(raw)
    return answer


@dataclass
class ScriptedTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers a request with the script: events are sent, a callable is called, "hang" waits for a cancel."""

    script: list
    heeds_cancel: bool = True
    is_live: bool = True
    asked: list = field(default_factory=list)
    half_closed: int = 0
    torn_off: int = 0

    async def ServerLive(self, request, context):  # noqa: N802
        await asyncio.sleep(0 if self.is_live else 60)
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelStreamInfer(self, requests, context):  # noqa: N802
        try:
            async for message in requests:
                self.asked.append(request_from_tensors(unpacked(message)))
                if isinstance(self.asked[-1], GenerationRequest):
                    async for answer in self._play(context):
                        yield answer
                elif self.heeds_cancel:
                    yield response(None)
                else:
                    await asyncio.sleep(60)
            self.half_closed += 1
        except asyncio.CancelledError:
            self.torn_off += 1
            raise

    async def _play(self, context) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        for step in self.script:
            if isinstance(step, service_pb2.ModelStreamInferResponse):
                yield step
            elif isinstance(step, Callable):
                await step(context)
            elif step != "hang":
                yield response(step)


@asynccontextmanager
async def connected(*script, idle_timeout_seconds=5.0, **options):
    """A stand-in with that script and a generator that speaks to it."""
    scripted = ScriptedTriton(list(script), **options)
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(scripted, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    generator = TritonGenerator(f"127.0.0.1:{port}", idle_timeout_seconds=idle_timeout_seconds)
    try:
        yield scripted, generator
    finally:
        await generator.close()
        await server.stop(0)


async def read(generator, clip=CLIP):
    return [event async for event in generator.generate(clip, QUESTION, FORM)]


async def test_the_request_arrives_and_the_events_come_back():
    async with connected(WROTE, FINISHED) as (scripted, generator):
        assert await read(generator) == [WROTE, FINISHED]
        await generator.close()
        (asked,) = scripted.asked
        np.testing.assert_array_equal(asked.clip.stacked(), CLIP.stacked())
        assert (asked.conversation, asked.form, asked.clip.is_video) == (QUESTION, FORM, False)
        assert (scripted.half_closed, scripted.torn_off) == (1, 0)


async def test_the_calls_deadline_and_class_go_along():
    set_deadline(60)
    priority.set("live")
    async with connected(FINISHED) as (scripted, generator):
        await read(generator)
    assert 0 < scripted.asked[0].seconds_left <= 60
    assert scripted.asked[0].priority == 2


async def test_a_model_is_not_asked_once_the_deadline_has_passed():
    set_deadline(0)
    async with connected(FINISHED) as (scripted, generator):
        with pytest.raises(OutOfTime):
            await read(generator)
    assert not scripted.asked


async def test_events_that_come_in_one_message_are_all_read():
    together = response(WROTE, Wrote("why", " Bright."), FINISHED)
    async with connected(together) as (scripted, generator):
        assert await read(generator) == [WROTE, Wrote("why", " Bright."), FINISHED]
        await generator.close()
        assert scripted.half_closed == 1


async def test_a_request_of_ten_megabytes_is_one_message():
    clip = Clip(tuple(Frame(np.zeros((448, 448, 3), np.uint8), float(second)) for second in range(16)), is_video=True)
    async with connected(FINISHED) as (scripted, generator):
        assert await read(generator, clip) == [FINISHED]
        assert len(scripted.asked[0].clip.frames) == 16


async def test_a_request_beyond_the_limit_of_a_message_says_so(monkeypatch):
    monkeypatch.setattr(triton_generator, "_MAX_MESSAGE_BYTES", 1000)
    clip = Clip((Frame(np.zeros((100, 100, 3), np.uint8)),), is_video=False)
    async with connected(FINISHED) as (_, generator):
        with pytest.raises(OverLimit, match="may have 1000 bytes"):
            await read(generator, clip)


@pytest.mark.parametrize("error", [InvalidRequest("too long", field="question"), Busy("no room"), BadMedia("black")])
async def test_an_error_of_the_engine_is_raised_as_it_is(error):
    async with connected(WROTE, error) as (_, generator):
        with pytest.raises(type(error)) as raised:
            await read(generator)
        assert (raised.value.message, raised.value.field) == (error.message, error.field)


async def abort(context):
    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


REFUSAL = service_pb2.ModelStreamInferResponse(error_message="Stub process 'qwen2_vl_0_0' is not healthy.")


@pytest.mark.parametrize("script", [[WROTE, abort], [WROTE, None], [REFUSAL]], ids=["dies", "cancels", "refuses"])
async def test_a_server_that_does_not_finish_is_unavailable(script):
    async with connected(*script) as (_, generator):
        with pytest.raises(ModelUnavailable) as raised:
            await read(generator)
        assert "qwen2_vl" not in raised.value.message


async def test_a_stream_that_ends_too_early_is_unavailable():
    class EarlyEnd(ScriptedTriton):
        async def ModelStreamInfer(self, requests, context):  # noqa: N802
            await anext(aiter(requests))
            yield response(WROTE)

    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(EarlyEnd([]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    generator = TritonGenerator(f"127.0.0.1:{port}")
    with pytest.raises(ModelUnavailable):
        await read(generator)
    await generator.close()
    await server.stop(0)


async def test_silence_is_cut_off_and_cancelled_in_band():
    async with connected(WROTE, "hang", idle_timeout_seconds=0.2) as (scripted, generator):
        events = generator.generate(CLIP, QUESTION, FORM)
        assert await anext(events) == WROTE
        with pytest.raises(ModelUnavailable, match=r"nothing for 0\.2 s"):
            await anext(events)
        await generator.close()
        request, cancel = scripted.asked
        assert cancel == Cancel(request.request_id)
        assert (scripted.half_closed, scripted.torn_off) == (1, 0)


@pytest.mark.parametrize("script", [["hang"], [WROTE, "hang"]], ids=["before the first event", "between events"])
async def test_a_server_that_is_stopped_is_unavailable_long_before_the_idle_timeout(script, monkeypatch):
    monkeypatch.setattr(stream, "_CANCEL_TIMEOUT_SECONDS", 0.1)
    async with connected(*script, is_live=False, idle_timeout_seconds=20) as (_, generator):
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="does not answer at the moment"):
            await asyncio.gather(*(read(generator) for _ in range(3)))
        assert time.monotonic() - started < 10  # of 20; two, where the machine has time


async def test_a_silent_model_is_waited_for_while_its_server_lives():
    async with connected(WROTE, lambda _: asyncio.sleep(1.0), FINISHED) as (_, generator):
        assert await read(generator) == [WROTE, FINISHED]


@pytest.mark.parametrize("how", ["aclose", "task", "task before the first event"])
async def test_leaving_is_a_second_message_and_not_a_grpc_cancel(how):
    script = ["hang"] if how == "task before the first event" else [WROTE, "hang"]
    async with connected(*script) as (scripted, generator):
        if how == "aclose":
            events = generator.generate(CLIP, QUESTION, FORM)
            await anext(events)
            await events.aclose()
        else:
            task = asyncio.create_task(read(generator))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await generator.close()
        assert [type(message) for message in scripted.asked] == [GenerationRequest, Cancel]
        assert (scripted.half_closed, scripted.torn_off) == (1, 0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_task_ends_at_whatever_point_it_is(turns):
    async with connected("hang") as (_, generator):
        task = asyncio.create_task(read(generator))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)


async def test_a_server_that_ignores_the_cancel_is_torn_off(monkeypatch):
    monkeypatch.setattr(stream, "_CANCEL_TIMEOUT_SECONDS", 0.2)
    async with connected(WROTE, "hang", heeds_cancel=False) as (scripted, generator):
        events = generator.generate(CLIP, QUESTION, FORM)
        await anext(events)
        await events.aclose()
        await generator.close()
        await asyncio.sleep(0.1)
        assert scripted.torn_off == 1


async def test_others_go_on_when_one_leaves():
    async with connected(WROTE, lambda _: asyncio.sleep(0.2), FINISHED) as (_, generator):
        staying = asyncio.create_task(read(generator))
        leaving = generator.generate(CLIP, QUESTION, FORM)
        await anext(leaving)
        await leaving.aclose()
        assert await staying == [WROTE, FINISHED]


async def test_ready_tells_the_fingerprint_of_the_checkpoint():
    async with connected(WROTE, FINISHED) as (_, generator):
        assert (await generator.ready()).checkpoint_fingerprint == "5c819ed5"


@pytest.mark.parametrize("listens", [False, True], ids=["nobody there", "never answers"])
async def test_a_server_that_is_not_there_is_unavailable_after_the_connect_timeout(listens):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        generator = TritonGenerator(f"127.0.0.1:{taken.getsockname()[1]}", connect_timeout_seconds=0.5)
        started = time.monotonic()
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await generator.ready()
        assert 0.4 < time.monotonic() - started < 10
        await generator.close()


async def test_a_server_that_comes_back_is_found_again():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    generator = TritonGenerator(f"127.0.0.1:{port}", connect_timeout_seconds=2)
    with pytest.raises(ModelUnavailable):
        async with asyncio.timeout(3):
            await generator.ready()
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(ScriptedTriton([FINISHED]), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    assert (await generator.ready()).checkpoint_fingerprint == "5c819ed5"
    await generator.close()
    await server.stop(0)


@asynccontextmanager
async def several(*scripts):
    """Stand-ins behind one address, and two generators that know it."""
    scripted = [ScriptedTriton(list(script)) for script in scripts]
    servers, ports = [], []
    for each in scripted:
        servers.append(grpc.aio.server())
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(each, servers[-1])
        ports.append(servers[-1].add_insecure_port("127.0.0.1:0"))
        await servers[-1].start()
    address = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    generators = [TritonGenerator(address, connect_timeout_seconds=5) for _ in range(2)]
    try:
        yield scripted, servers, generators
    finally:
        for generator in generators:
            await generator.close()
        for server in servers:
            await server.stop(0)


def clip(seed: int) -> Clip:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Clip((Frame(pixels),), is_video=False)


async def test_the_fingerprints_of_all_servers_behind_an_address_are_reported():
    other = replace(FINISHED, checkpoint_fingerprint="5c819ed5-bfloat16")
    async with several([FINISHED], [other]) as (_, _, (generator, _)):
        assert await generator.replica_fingerprints() == {"5c819ed5", "5c819ed5-bfloat16"}


async def test_one_clip_meets_one_of_several_servers_for_every_tenant():
    async with several([FINISHED], [FINISHED], [FINISHED]) as (scripted, _, (extraction, scoring)):
        for seed in range(24):
            await read(extraction, clip(seed))
            await read(scoring, clip(seed))
        asked = [{message.clip.stacked().tobytes() for message in each.asked} for each in scripted]
        assert all(asked)
        assert sum(map(len, asked)) == 24


async def test_a_clip_goes_elsewhere_when_its_server_is_gone():
    async with several([FINISHED], [FINISHED]) as (scripted, servers, (generator, _)):
        await read(generator)
        (gone,) = [place for place, each in enumerate(scripted) if each.asked]
        await servers[gone].stop(0)
        assert await read(generator) == [FINISHED]
        assert len(scripted[1 - gone].asked) == 1


async def dies(context):
    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


async def test_a_request_that_its_server_lost_unanswered_is_asked_once_more():
    async with several([dies]) as ((scripted,), _, (generator, _)):
        with pytest.raises(ModelUnavailable):
            await read(generator)
        assert len(scripted.asked) == 2


async def test_a_request_that_was_answered_is_not_asked_again():
    async with several([WROTE, dies]) as ((scripted,), _, (generator, _)):
        with pytest.raises(ModelUnavailable):
            await read(generator)
        assert len(scripted.asked) == 1


def test_importing_it_does_not_load_torch():
    program = "import assay.triton, sys; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
