"""The HTTP face put together, served by uvicorn on the loop that serves gRPC."""

import asyncio
import contextlib
import json
import logging
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from assay.errors import AssayError, SettingsError
from assay.rpc.access import is_loopback
from assay.rpc.security import OPEN, Security
from assay.v1 import assay_pb2, upload_pb2
from gateway.http.body import reuse_memory
from gateway.http.calls import Calls
from gateway.http.connect import ConnectApplication
from gateway.http.guard import Guard
from gateway.http.problem import STATUS, problem, problem_response
from gateway.http.rest import Rest
from gateway.http.spool import Spool, SpoolLimits
from gateway.http.uploads import Scorings, Slices, UploadService
from gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)

_UPLOADS = upload_pb2.DESCRIPTOR.services_by_name["UploadService"]
CONNECTIONS = 512
"""At once; one more is answered with 503."""
BUILT = Path(__file__).with_name("page_files")
DESCRIBED = Path(__file__).with_name("openapi.json")
HEAD_BYTES = 16 << 10
"""Of a request line and its headers."""


@asynccontextmanager
async def serving_http(
    settings: GatewaySettings, scores: Any, live: Any, security: Security = OPEN
) -> AsyncIterator[str]:
    """The HTTP face for the length of the block, at the address that is given back. SettingsError."""
    host, _, port = settings.http_address.rpartition(":")
    _refuse_open_door(settings, security)
    reuse_memory()
    sock = _bound(host, int(port), settings.http_address)
    spool, scorings = Spool(settings.spool_path(), _limits(settings)), Scorings(settings.http_patience_seconds)
    app = application(settings, Calls(scores, live), spool, scorings, security)
    certificate, key, _ = security.files.paths if security.files else (None, None, None)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_graceful_shutdown=round(settings.grace_seconds),
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        bound = f"{host}:{sock.getsockname()[1]}"
        _log.info("listening", extra={"facts": {"http_address": bound}})
        yield bound
    finally:
        server.should_exit = True
        await asyncio.gather(running, return_exceptions=True)
        await scorings.close()
        spool.close()


def application(
    settings: GatewaySettings, calls: Calls, spool: Spool, scorings: Scorings, security: Security = OPEN
) -> ASGIApp:
    """Everything that HTTP offers, behind the guard."""
    services = {
        assay_pb2.DESCRIPTOR.services_by_name["AssayService"]: calls.services,
        _UPLOADS: UploadService(calls, spool, scorings),
    }
    mounted = [ConnectApplication(descriptor, servicer) for descriptor, servicer in services.items()]
    app = Starlette(
        routes=[
            *Rest(calls, settings).routes(),
            *Slices(spool, settings.upload).routes(),
            Route("/healthz", _health(calls), methods=["GET"]),
            Route("/v1/openapi.json", _described, methods=["GET"]),
            *(Mount(each.path, each) for each in mounted),
            *page_routes(),
        ],
        exception_handlers={404: _no_such_path, 405: _no_such_path, 500: _unexpected},
    )
    return Guard(app, settings.http_hosts, settings.http_origins, replace(security, scopes=_scopes(security)))


class _Server(uvicorn.Server):
    """Leaves signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _health(calls: Calls) -> Any:
    async def health(request: Request) -> Response:
        try:
            model = await calls.model()
        except AssayError as error:
            return problem_response(error)
        return JSONResponse({"status": "serving", "model": model.name})

    return health


def document() -> dict[str, Any]:
    """What REST offers, by OpenAPI 3.1. Every operation may fail with every status that an error has."""
    described: dict[str, Any] = json.loads(DESCRIBED.read_text(encoding="utf-8"))
    failures = {str(status): {"$ref": "#/components/responses/Problem"} for status in sorted(set(STATUS.values()))}
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["responses"] |= failures
    return described


async def _described(request: Request) -> JSONResponse:
    return JSONResponse(document())


class _NoSuchPath(AssayError):
    grpc_status = "NOT_FOUND"
    reason = "NO_SUCH_PATH"


async def _no_such_path(request: Request, wrong: Exception) -> Response:
    """404, or 405 with the methods that there are."""
    error = _NoSuchPath(f"there is no {request.method} {request.url.path[:200]} here; see /v1/openapi.json")
    status = getattr(wrong, "status_code", 404)
    members = {**problem(error), "status": status}
    return JSONResponse(members, status, getattr(wrong, "headers", None), media_type="application/problem+json")


async def _unexpected(request: Request, wrong: Exception) -> Response:
    return problem_response(AssayError("Something went wrong on our side; the server's log says what."))


def _limits(settings: GatewaySettings) -> SpoolLimits:
    return SpoolLimits(
        max_bytes=settings.http_spool_bytes,
        max_upload_bytes=settings.limits.max_video_bytes,
        max_uploads=settings.http_max_uploads,
        idle_seconds=settings.upload.idle_seconds,
        life_seconds=settings.http_upload_life_seconds,
    )


def _scopes(security: Security) -> Mapping[str, str]:
    """What every path needs: as its method over gRPC, and else what scoring needs."""
    own = {"/v1/uris:score": "score uri", f"/{_UPLOADS.full_name}/ScoreLiveUpload": "live"}
    return defaultdict(lambda: "score", {**security.scopes, **own})


def _refuse_open_door(settings: GatewaySettings, security: Security) -> None:
    is_guarded = security.files is not None and security.tokens is not None
    if not is_loopback(settings.http_address) and not is_guarded and not settings.insecure:
        raise SettingsError(
            f"GATEWAY_HTTP_ADDRESS {settings.http_address} is not of the loopback range, and would be served without "
            "TLS or without authentication; see docs/secure.md, or use 127.0.0.1 and put a proxy that does both in "
            "front (docs/proxies.md)"
        )


def _bound(host: str, port: int, address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
        sock.listen(CONNECTIONS)  # who connects before uvicorn accepts waits, instead of being refused
    except OSError:
        sock.close()
        raise SettingsError(
            f"cannot listen on {address}: it is in use, or not an address of this machine; choose another"
        ) from None
    return sock


def page_routes() -> list[Route | Mount]:
    """The page at /, its files under /page/."""
    return [
        Route("/", _page, methods=["GET"]),
        Route("/favicon.ico", _icon, methods=["GET"]),
        Mount("/page", GZipMiddleware(StaticFiles(directory=BUILT, check_dir=False))),
    ]


async def _page(request: Request) -> Response:
    # The names of its parts do not change with their content.
    return FileResponse(BUILT / "index.html", headers={"cache-control": "no-cache"})


async def _icon(request: Request) -> Response:
    return RedirectResponse("/page/icon.svg")
