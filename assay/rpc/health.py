"""Health that follows what a program needs, not merely that its process runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

import assay
from assay.errors import AssayError, Busy, ModelUnavailable, ServiceUnavailable

_log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns if the program can work now; ModelUnavailable, ServiceUnavailable or Busy if not yet; else it never will."""

_CHECK_EVERY_SECONDS = 10.0
_CHECK_AGAIN_SECONDS = 0.5
"""While it fails; a model server that was restarted is found within the second."""


class VersionedHealth(health.aio.HealthServicer):
    """Health whose answers carry the program's release as trailing metadata `assay-version`."""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        context.set_trailing_metadata((("assay-version", assay.__version__),))
        return await super().Check(request, context)


LIVE = "live"
"""The name under which health says SERVING for as long as the process does its work, whatever it waits for: what is
not ready needs no restart."""


class Health:
    """One answer for all services of a program and for the program itself (""), and LIVE."""

    def __init__(self, servicer: health.aio.HealthServicer, service_names: Sequence[str]) -> None:
        self.servicer = servicer
        self._names = ("", *service_names)

    async def set_live(self) -> None:
        await self.servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)

    async def set(self, is_serving: bool) -> None:
        serving = health_pb2.HealthCheckResponse.SERVING
        for name in self._names:
            await self.servicer.set(name, serving if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING)


async def watch(status: Health, ready: Check | None, announce: Callable[[], None]) -> None:
    """Keeps health true until cancelled. Raises what `ready` raises if waiting will not help."""
    is_announced = False
    was_serving: bool | None = None
    while True:
        is_serving = await _is_ready(ready, was_serving is not False)
        if is_serving is not was_serving:
            await status.set(is_serving)
        if is_serving and not is_announced:
            announce()
            is_announced = True
        was_serving = is_serving
        await asyncio.sleep(_CHECK_EVERY_SECONDS if is_serving else _CHECK_AGAIN_SECONDS)


def _cause(error: AssayError) -> dict[str, str]:
    """What gRPC says, for the operator: that TLS meets plain text, or that a certificate is not accepted."""
    cause = error.__cause__
    return {"cause": str(cause.details())} if isinstance(cause, grpc.aio.AioRpcError) else {}


async def _is_ready(ready: Check | None, shall_log: bool) -> bool:
    try:
        if ready is not None:
            await ready()
    except (ModelUnavailable, ServiceUnavailable, Busy) as error:
        if shall_log:
            _log.warning("not ready: %s", error.message, extra={"facts": _cause(error)})
        return False
    return True
