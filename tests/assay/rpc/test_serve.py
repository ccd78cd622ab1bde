"""assay/rpc/serve.py inside this process; tests/e2e/test_services.py starts real ones."""

import asyncio
import json
import logging
import signal
import socket

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from assay import __version__
from assay.errors import CheckpointError, ModelUnavailable, SettingsError
from assay.rpc import health as health_module
from assay.rpc.channel import channel
from assay.rpc.serve import listening, run, serve
from assay.rpc.settings import ServerSettings

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """serve() takes the log over for its process, which here is pytest's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def at(address: str) -> ServerSettings:
    """Settings of a program that listens there."""
    return ServerSettings(address=address)


def nothing(server) -> None:
    """Health and reflection are enough here."""


async def health(address, service="") -> int:
    async with channel(address) as to:
        response = await health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest(service=service))
    return response.status


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110 health is asked for, it does not call
            await asyncio.sleep(0.01)


async def test_a_taken_port_is_one_sentence():
    async with listening("127.0.0.1:0", nothing, []) as (_, address):
        with pytest.raises(SettingsError, match=f"cannot listen on {address}: it is in use"):
            async with listening(address, nothing, []):
                pass


async def test_a_taken_socket_path_is_not_taken_over(tmp_path):
    address = f"unix:{tmp_path}/s"
    async with listening(address, nothing, []):
        with pytest.raises(SettingsError, match="it is in use"):
            async with listening(address, nothing, []):
                pass


async def test_a_socket_that_a_killed_program_left_behind_is_used_again(tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/s")
    async with listening(f"unix:{tmp_path}/s", nothing, ["x.Y"]) as (_, address):
        assert await health(address, "x.Y") == NOT_SERVING


async def test_a_program_is_ready_once_its_model_is(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(health_module, "_CHECK_AGAIN_SECONDS", 0.01)
    address = f"unix:{tmp_path}/s"
    is_up = False

    async def ready() -> None:
        if not is_up:
            raise ModelUnavailable("no model yet")

    async def is_healthy() -> bool:
        return await health(address, "x.Y") == SERVING

    program = asyncio.create_task(serve("bakery", at(address), nothing, ["x.Y"], ready=ready))
    await asyncio.sleep(0.05)
    assert not await is_healthy()
    assert capfd.readouterr().out == ""
    is_up = True
    await until(is_healthy)
    signal.raise_signal(signal.SIGTERM)
    await program
    assert capfd.readouterr().out == f"ready bakery {address}\n"


async def test_health_follows_a_model_that_goes_down(tmp_path, monkeypatch):
    monkeypatch.setattr(health_module, "_CHECK_EVERY_SECONDS", 0.01)
    address = f"unix:{tmp_path}/s"
    is_up = True

    async def ready() -> None:
        if not is_up:
            raise ModelUnavailable("gone")

    async def is_healthy() -> bool:
        return await health(address) == SERVING

    async def is_unhealthy() -> bool:
        return not await is_healthy()

    program = asyncio.create_task(serve("bakery", at(address), nothing, [], ready=ready))
    await until(is_healthy)
    is_up = False
    await until(is_unhealthy)
    signal.raise_signal(signal.SIGTERM)
    await program


async def test_calls_are_taken_for_a_while_after_health_says_no(tmp_path):
    settings = ServerSettings(address=f"unix:{tmp_path}/s", health_address="127.0.0.1:0", lame_duck_seconds=20)
    reported = []
    program = asyncio.create_task(serve("bakery", settings, nothing, [], on_stop=lambda: reported.append("stop")))

    async def is_down() -> bool:
        return await health(settings.address) == NOT_SERVING

    await until(lambda: is_up(settings.address))
    signal.raise_signal(signal.SIGTERM)
    await until(is_down)  # it still answers
    assert reported == []
    signal.raise_signal(signal.SIGTERM)  # a second one ends the pause
    async with asyncio.timeout(5):
        await program
    assert reported == ["stop"]


async def is_up(address) -> bool:
    try:
        return await health(address) == SERVING
    except grpc.aio.AioRpcError:
        return False


async def test_health_has_an_address_of_its_own_that_serves_nothing_else(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        alone = f"127.0.0.1:{free.getsockname()[1]}"
    program = asyncio.create_task(
        serve("bakery", ServerSettings(address=f"unix:{tmp_path}/s", health_address=alone), nothing, [])
    )
    await until(lambda: is_up(alone))
    async with channel(alone) as to:
        listing = to.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listing(b"")
        call = health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest())
        version = dict(await call.trailing_metadata())["assay-version"]
    signal.raise_signal(signal.SIGTERM)
    await program
    assert (refused.value.code(), version) == (grpc.StatusCode.UNIMPLEMENTED, __version__)


async def test_what_calls_needed_is_closed_after_them(tmp_path):
    ends = []

    async def close() -> None:
        ends.append("closed")

    program = asyncio.create_task(serve("bakery", at(f"unix:{tmp_path}/s"), nothing, [], on_drain=close))
    await asyncio.sleep(0.05)
    signal.raise_signal(signal.SIGTERM)
    await program
    assert ends == ["closed"]


async def test_a_program_that_can_never_be_ready_ends(tmp_path):
    async def ready() -> None:
        raise CheckpointError("the model is of another checkpoint")

    with pytest.raises(CheckpointError):
        await serve("bakery", at(f"unix:{tmp_path}/s"), nothing, [], ready=ready)


def test_a_program_that_cannot_start_says_why_and_exits_with_2(capfd):
    async def program() -> None:
        raise SettingsError("BAKERY_HEAT is '-1'; allowed is a number above 0")

    assert run("bakery", program(), []) == 2
    line = json.loads(capfd.readouterr().err)
    assert (line["level"], line["program"]) == ("critical", "bakery")
    assert line["message"] == "BAKERY_HEAT is '-1'; allowed is a number above 0"


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["--port=1"], 2), (["start"], 2)]
)
def test_a_command_line_never_starts_a_program_by_accident(arguments, code, capfd):
    started = []

    async def program() -> None:
        started.append(arguments)

    with pytest.raises(SystemExit) as ended:
        run("bakery", program(), arguments)
    assert (ended.value.code, started) == (code, [])


def test_the_help_of_a_program_says_where_its_settings_are_listed(capfd):
    with pytest.raises(SystemExit):
        run("services.bakery", asyncio.sleep(0), ["--help"])
    assert "BAKERY_…, listed by `assay settings bakery`" in " ".join(capfd.readouterr().out.split())


OURS = "assay.v1.AssayService"


async def asked(version, **question):
    request = reflection_pb2.ServerReflectionRequest(**question)
    async with listening("127.0.0.1:0", lambda server: None, [OURS]) as (_, address), channel(address) as to:
        call = to.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )(iter([request]))
        return await call.read()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_services_are_listed(version):
    listed = await asked(version, list_services="")
    names = {each.name for each in listed.list_services_response.service}
    assert {OURS, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= names


@pytest.mark.parametrize("symbol", [OURS, "grpc.reflection.v1.ServerReflection"])
async def test_a_service_is_described_with_all_that_it_imports(symbol):
    described = await asked("v1", file_containing_symbol=symbol)
    files = [FileDescriptorProto.FromString(each) for each in described.file_descriptor_response.file_descriptor_proto]
    assert {name for file in files for name in file.dependency} <= {file.name for file in files}
