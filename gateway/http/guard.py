"""Guard: who may talk to the HTTP face from which page, and what a browser may do with what it gets."""

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.errors import AssayError
from assay.rpc.call import REQUEST_ID_KEY, check_metadata, identity, set_request_id
from assay.rpc.security import OPEN, Security
from assay.rpc.tracing import TRACEPARENT, given_traceparent
from gateway.http.problem import problem_response

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=()",
}
PUBLIC = ("/", "/favicon.ico", "/healthz", "/v1/openapi.json")
"""What is shown to everybody, besides the files under /page/: nothing that anybody has sent."""
_SHARED: Mapping[str, Any] = {
    "allow_methods": ("GET", "PUT", "POST", "OPTIONS"),
    "allow_headers": (
        *("authorization", "content-type", "accept", "repr-digest", "connect-protocol-version", "connect-timeout-ms"),
        *("x-grpc-web", "x-user-agent", "grpc-timeout", "x-request-id", "traceparent"),
    ),
    "expose_headers": ("grpc-status", "grpc-message", "grpc-status-details-bin", "retry-after"),
}
"""With pages of other origins that may ask."""


class WrongHost(AssayError):
    """The request names another host: a page elsewhere may have had its name resolve to this server (DNS rebinding)."""

    grpc_status = "PERMISSION_DENIED"
    reason = "WRONG_HOST"


class ForeignOrigin(AssayError):
    """A page of another origin asks."""

    grpc_status = "PERMISSION_DENIED"
    reason = "FOREIGN_ORIGIN"


class Guard:
    """ASGI middleware in front of everything."""

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], origins: Collection[str], security: Security = OPEN
    ) -> None:
        """`hosts` are names (without port) that this server is known by besides loopback's; `origins` are of other
        pages that may ask, such as https://ops.example; `security` says who calls, by the path as method."""
        self._security = security
        self._hosts, self._origins = {*LOOPBACK, *(each.lower() for each in hosts)}, set(origins)
        self._app = CORSMiddleware(app, self._origins, **_SHARED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin", "")
        try:
            self._check(headers.get("host", ""), origin)
            self._identify(scope, headers)
        except AssayError as error:
            return await problem_response(error)(scope, receive, _with(send, HEADERS))
        shared = {"cross-origin-resource-policy": "cross-origin"} if origin in self._origins else {}
        return await self._app(scope, receive, _with(send, {**HEADERS, **shared}))

    def _identify(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Whose request it is, and under which id. Unauthenticated, PermissionDenied, InvalidRequest."""
        set_request_id(headers.get(REQUEST_ID_KEY, ""))
        check_metadata(headers.items())
        given_traceparent.set(headers.get(TRACEPARENT, ""))
        path = scope["path"]
        if scope["method"] != "OPTIONS" and path not in PUBLIC and not path.startswith("/page/"):
            identity.set(self._security.identity_of(path, headers.get("authorization", "")))

    def _check(self, host: str, origin: str) -> None:
        if _name(host) not in self._hosts:
            raise WrongHost(
                "this server is not known by the name that was asked for; the setting GATEWAY_HTTP_HOSTS adds names"
            )
        if origin and origin not in self._origins and urlsplit(origin).netloc.lower() != host.lower():
            raise ForeignOrigin("pages of other origins may not ask; the setting GATEWAY_HTTP_ORIGINS allows them")


def _name(host: str) -> str:
    """The host without its port."""
    name, separator, port = host.lower().rpartition(":")
    return name if separator and port.isdigit() else host.lower()


def _with(send: Send, headers: Mapping[str, str]) -> Send:
    added = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in message.get("headers", ())}
            message = {
                **message,
                "headers": [*message.get("headers", ()), *(pair for pair in added if pair[0] not in names)],
            }
        await send(message)

    return sending
