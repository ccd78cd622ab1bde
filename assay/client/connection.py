"""How a client reaches a server: TLS, a certificate of its own, a token."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from assay.errors import InvalidRequest, SettingsError
from assay.rpc.call import AWAITS_ADMISSION, REQUEST_ID_KEY
from assay.rpc.options import CHANNEL
from assay.rpc.tracing import TRACEPARENT, traceparent

_OPTIONS: list[tuple[str, int | str]] = [
    *CHANNEL,
    # Also the time after which a host that does not answer at all counts as unreachable; the default is 20 s.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # An HTTP proxy from the environment is for the web; few of them let gRPC through.
    ("grpc.enable_http_proxy", 0),
]
_LOOPBACK = ("127.", "localhost:", "[::1]:", "unix:")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows to a server, and by what it knows it."""

    tls_ca: str | Path = ""
    """A PEM file of the authorities that the server's certificate may be of, or "system" for the machine's own; empty:
    no TLS, unless there is a certificate."""
    cert: str | Path = ""
    """A PEM file with the client's certificate and, unless `key` names another file, its key."""
    key: str | Path = ""
    """A PEM file with the certificate's key."""
    token_file: str | Path = ""
    """A file that holds a token or API key; it is read for every call, so that a renewed one is used at once."""
    token: str = ""
    """The token itself, instead of a file."""

    @property
    def is_tls(self) -> bool:
        return bool(self.tls_ca or self.cert)


def open_channel(server: str, credentials: Credentials) -> grpc.aio.Channel:
    """A channel that connects with the first call. SettingsError names a file that cannot be read; InvalidRequest if a
    token would go over the network as it is."""
    if (credentials.token or credentials.token_file) and not credentials.is_tls and not server.startswith(_LOOPBACK):
        raise InvalidRequest(
            f"a token for {server} would be readable on its way; name the server's authority (tls_ca, --tls-ca), "
            "or 'system' for the machine's own"
        )
    if not credentials.is_tls:
        return grpc.aio.insecure_channel(server, options=_OPTIONS)
    roots = None if credentials.tls_ca in ("", "system") else _content(credentials.tls_ca)
    chain = _content(credentials.cert) if credentials.cert else None
    key = _content(credentials.key) if credentials.key else chain
    return grpc.aio.secure_channel(server, grpc.ssl_channel_credentials(roots, key, chain), options=_OPTIONS)


def metadata(credentials: Credentials, request_id: str = "", span: Any = None) -> tuple[tuple[str, str], ...]:
    """Of one call: its id, the token, its span, and that no byte is sent before the server has admitted it.

    SettingsError if the token's file cannot be read.
    """
    token = credentials.token
    if credentials.token_file:
        token = _content(credentials.token_file).decode("ascii", "replace").strip()
    shown = (("authorization", f"Bearer {token}"),) if token else ()
    return ((REQUEST_ID_KEY, request_id or uuid.uuid4().hex), AWAITS_ADMISSION, *shown, *_trace(span))


@contextmanager
def client_span(name: str, server: str) -> Iterator[Any]:
    """The span of a call, below the application's current one, if the application uses OpenTelemetry; else None, and
    nothing is loaded for it. It does not become the current one: a generator of events may end in another task."""
    if (opentelemetry := sys.modules.get("opentelemetry.trace")) is None:
        yield None
        return
    kind, attributes = opentelemetry.SpanKind.CLIENT, {"server.address": server}
    span = opentelemetry.get_tracer("assay").start_span(name, kind=kind, attributes=attributes)
    try:
        yield span
    except Exception as failed:
        span.set_attribute("error.type", getattr(failed, "reason", type(failed).__name__))
        span.set_status(opentelemetry.StatusCode.ERROR, str(failed))
        raise
    finally:
        span.end()


def _trace(span: Any) -> tuple[tuple[str, str], ...]:
    """The span of the call, or the application's current one: the server's are below it."""
    if span is None and (opentelemetry := sys.modules.get("opentelemetry.trace")) is not None:
        span = opentelemetry.get_current_span()
    return ((TRACEPARENT, traceparent(span)),) if span is not None and span.get_span_context().is_valid else ()


def _content(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as unreadable:
        raise SettingsError(f"{path} cannot be read: {unreadable.strerror}") from None
