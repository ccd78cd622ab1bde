"""Bring-up and drain of a program: settings in, one `ready` line out, health that follows the model, a quiet end."""

import asyncio
import logging
import signal
import socket
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

import assay
from assay.errors import AssayError, SettingsError
from assay.rpc import options
from assay.rpc.authentication import Tokens
from assay.rpc.edge import WRITE_SECONDS, Edge
from assay.rpc.health import Check, Health, VersionedHealth, watch
from assay.rpc.logs import log_to_stderr
from assay.rpc.metrics import serve_build_info, serve_metrics
from assay.rpc.security import OPEN, Security, security_of
from assay.rpc.settings import ServerSettings
from assay.rpc.tls import PemFiles
from assay.rpc.tracing import trace_to_collector

_log = logging.getLogger(__name__)

V1 = "grpc.reflection.v1.ServerReflection"
"""The same as v1alpha, which grpcio-reflection has alone, but for the package's name; newer clients ask for it."""
_REFLECTION = "ServerReflectionInfo"
_RENEW_SECONDS = 60.0
DRAIN_BYTES = 64 << 20
"""How much of a refused upload is read and dropped, for half a second at most. Measured on loopback, clips of 5 MiB:
with 256 KiB 6 of 100 refusals arrived, with 64 MiB 100 of 100."""


def run(module: str, program: Coroutine[Any, Any, None], arguments: Sequence[str] | None = None) -> int:
    """Runs `python -m module` to its end. Exit code 0, or 2 with a log line that says why it cannot start as it is set.

    Its settings are environment variables: of a command line (`arguments`, else the process's) it knows --help and
    --version alone. SystemExit after these (0) and for anything else (2).
    """
    try:
        command_line(module).parse_args(arguments)
    except SystemExit:
        program.close()
        raise
    try:
        asyncio.run(program)
    except AssayError as error:
        log_to_stderr(module.rpartition(".")[2])
        _log.critical("%s", error.message)
        return 2
    return 0


def command_line(module: str) -> ArgumentParser:
    """Of a program that is set up by its environment: it knows --help and --version alone."""
    name = module.rpartition(".")[2]
    described = (
        f"Runs until SIGTERM. Settings are environment variables {name.upper()}_…, listed by `assay settings {name}`."
    )
    parser = ArgumentParser(prog=f"python -m {module}", description=described, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"{name} {assay.__version__}")
    return parser


async def serve(
    name: str,
    settings: ServerSettings,
    add: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    *,
    ready: Check | None = None,
    on_stop: Callable[[], None] = lambda: None,
    on_drain: Check | None = None,
    write_seconds: float = WRITE_SECONDS,
    tokens: Tokens | None = None,
    scopes: Mapping[str, str] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; prints `ready NAME ADDRESS` on stdout once `ready` has returned.

    `add` adds the servicers named in `service_names`. `ready` goes on being asked, and health follows it. At the
    signal health turns to NOT_SERVING; after `settings.lame_duck_seconds` no call is taken any more, `on_stop` tells
    calls that have no end of their own, and those in flight have `settings.grace_seconds`; `on_drain` then closes what
    they needed. A second signal ends the lame-duck pause. A client may leave an answer unread for `write_seconds`.
    Clients show one of `tokens`, with the scopes that a method needs. SettingsError if it would be open by accident.
    """
    log_to_stderr(name, settings.log_level)
    trace_to_collector(name, assay.__version__)
    addresses = {"address": settings.address, "metrics_address": settings.metrics_address}
    security = security_of(settings, addresses, tokens, scopes)
    renewing = served_metrics(settings.metrics_address, security.files)
    serve_build_info(name)
    stop = Signals()
    served = listening(
        settings.address,
        add,
        service_names,
        settings.grace_seconds,
        write_seconds=write_seconds,
        security=security,
    )
    async with served as (health_of, bound), health_alone(settings.health_address, health_of):
        _log.info("listening", extra={"facts": {"address": bound, "version": assay.__version__}})
        announce = partial(print, f"ready {name} {bound}", flush=True)
        await _first_of(stop.first.wait(), watch(health_of, ready, announce), renewing())
        _log.info("draining", extra={"facts": _draining(settings)})
        await health_of.set(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.lame_duck_seconds):
                await stop.second.wait()
        on_stop()
    if on_drain:
        await on_drain()


def served_metrics(address: str, files: PemFiles | None) -> Callable[[], Coroutine[Any, Any, None]]:
    """Serves them, unless the address is empty, over TLS if there are files; what is given back shows scrapers a
    renewed certificate for as long as it runs."""
    paths = files.paths if files else ()
    server = serve_metrics(address, *paths) if address else None

    async def renewing() -> None:
        shown = files.get() if files else None
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            if server and files and (pem := files.get()) is not shown:
                shown = pem
                server.socket.context.load_cert_chain(*paths[:2])

    return renewing


class Signals:
    """SIGTERM and SIGINT as events, from now on."""

    def __init__(self) -> None:
        self.first, self.second = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._came)

    def _came(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


def _draining(settings: ServerSettings) -> dict[str, float]:
    return {"lame_duck_seconds": settings.lame_duck_seconds, "grace_seconds": settings.grace_seconds}


@asynccontextmanager
async def health_alone(address: str, status: Health) -> AsyncIterator[None]:
    """A second server for the length of the block that says nothing but health; none if the address is empty."""
    if not address:
        yield
        return
    server = grpc.aio.server(options=options.SERVER)
    health_pb2_grpc.add_HealthServicer_to_server(status.servicer, server)
    _bind(server, address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns or raises as the first of them does, and cancels the others."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    for task in done:
        await task


@asynccontextmanager
async def listening(
    address: str,
    add: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    grace_seconds: float = 0.0,
    drain_bytes: int = DRAIN_BYTES,
    write_seconds: float = WRITE_SECONDS,
    security: Security = OPEN,
) -> AsyncIterator[tuple[Health, str]]:
    """A server for the length of the block, NOT_SERVING at first: its health, and the address it is reached at.

    SettingsError if it cannot listen there.
    """
    server = grpc.aio.server(interceptors=[Edge(drain_bytes, write_seconds, security)], options=options.SERVER)
    add(server)
    servicer = VersionedHealth()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if security.reflection:
        enable_reflection([*service_names, health.SERVICE_NAME], server)
    status = Health(servicer, service_names)
    await status.set(False)
    await status.set_live()
    bound = _bind(server, address, security)
    await server.start()
    try:
        yield status, bound
    finally:
        await servicer.enter_graceful_shutdown()
        await server.stop(grace_seconds)


def _bind(server: grpc.aio.Server, address: str, security: Security = OPEN) -> str:
    taken = SettingsError(
        f"cannot listen on {address}: it is in use, or not an address of this machine; choose another"
    )
    if address.startswith("unix:"):
        # gRPC would take the path away from a program that listens there.
        if _is_listened_on(address.removeprefix("unix:")):
            raise taken
        server.add_insecure_port(address)
        return address
    try:
        if security.files:
            credentials = security.files.server_credentials(require_client=bool(security.callers))
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        raise taken from None
    return f"{address.rpartition(':')[0]}:{port}"


def _is_listened_on(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(path)
        return True
    return False


def enable_reflection(service_names: Sequence[str], server: grpc.aio.Server) -> None:
    """Lets clients list and describe the services, by v1 and v1alpha."""
    _register_v1()
    servicer = reflection.aio.ReflectionServicer([*service_names, reflection.SERVICE_NAME, V1])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, V1):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {_REFLECTION: handler}),))


def _register_v1() -> None:
    """Puts the service among those that can be described."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    file = text_format.Parse(str(alpha).replace("v1alpha", "v1"), FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
