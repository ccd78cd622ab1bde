"""Supervisor: keeps one server answering. Starts it, watches it, restarts it with backoff, stops it cleanly.

Anything that breaks the model restarts the whole server. Triton could also load a model anew whose stub has died, but
the streams in flight would then hang until their callers' idle timeout, and the stub's shared memory would stay behind.
Triton itself starts in 0.2 s; the model takes just as long either way.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from assay.errors import AssayError, Busy
from assay.triton import TritonGenerator
from triton_server.ports import Ports
from triton_server.server import SHM_PREFIX, Server
from triton_server.settings import TritonServerSettings

_log = logging.getLogger("triton_server")

_WATCH_SECONDS = 0.2
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0
_MAX_FAILED_STARTS = 5
"""In a row; then the program ends, so that whoever started it sees that it cannot help itself."""
_MAX_FAILED_CANARIES = 3


async def supervise(settings: TritonServerSettings, ports: Ports, announce: Callable[[str], None]) -> None:
    """Serve until cancelled. `announce` is told once, with the gRPC address, when the model has answered.

    Raises the AssayError of the first start if that fails, later only after _MAX_FAILED_STARTS in a row.
    """
    address = f"{_reachable(settings.host)}:{ports.grpc}"
    has_been_ready = False
    failed_starts = 0
    while True:
        _remove_shared_memory_of_the_dead()
        server = await Server.start(settings, ports)
        trouble = ""
        try:
            await _bring_up(server, address, settings)
            if not has_been_ready:
                announce(address)
            has_been_ready, failed_starts = True, 0
            trouble = await _watch(server, address, settings)
        except AssayError as failed:
            failed_starts += 1
            if not has_been_ready or failed_starts >= _MAX_FAILED_STARTS:
                raise
            trouble = failed.message
        finally:
            # A server in trouble has streams that hang; only a healthy one gets time for what is in flight.
            await (server.kill() if trouble else server.stop())
        backoff_seconds = min(_FIRST_BACKOFF_SECONDS * 2**failed_starts, _LONGEST_BACKOFF_SECONDS)
        _log.error("%s; restarting in %.1f s", trouble, backoff_seconds)
        await asyncio.sleep(backoff_seconds)


async def _bring_up(server: Server, address: str, settings: TritonServerSettings) -> None:
    await server.load_model()
    await _canary(address, settings.canary_timeout_seconds)


async def _watch(server: Server, address: str, settings: TritonServerSettings) -> str:
    """What is wrong with the server, as soon as something is."""
    canaries = asyncio.create_task(_watch_canaries(address, settings))
    try:
        while not canaries.done():
            if trouble := server.trouble():
                return trouble
            await asyncio.wait([canaries], timeout=_WATCH_SECONDS)
        return canaries.result()
    finally:
        canaries.cancel()


async def _watch_canaries(address: str, settings: TritonServerSettings) -> str:
    failures = 0
    while failures < _MAX_FAILED_CANARIES:
        await asyncio.sleep(settings.canary_interval_seconds)
        try:
            await _canary(address, settings.canary_timeout_seconds)
            failures = 0
        except AssayError as failed:
            failures += 1
            _log.warning("canary %d of %d failed: %s", failures, _MAX_FAILED_CANARIES, failed.message)
    return f"the model did not answer {failures} canaries in a row"


async def _canary(address: str, timeout_seconds: float) -> None:
    generator = TritonGenerator(address, idle_timeout_seconds=timeout_seconds)
    try:
        await generator.ready()
    except Busy:
        pass  # it refuses work, so it is alive
    finally:
        await generator.close()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _remove_shared_memory_of_the_dead() -> None:
    """What a supervisor left behind that was killed together with its leash; the prefix holds its process id."""
    for path in Path("/dev/shm").glob(f"{SHM_PREFIX}*"):
        owner = path.name.removeprefix(SHM_PREFIX).split("_")[0]
        if owner.isdigit() and (int(owner) == os.getpid() or not Path(f"/proc/{owner}").exists()):
            path.unlink(missing_ok=True)
