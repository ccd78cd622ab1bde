"""Ports: chosen once, before the first start, so that a restarted server is found where it was."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass

from assay.errors import SettingsError
from triton_server.settings import TritonServerSettings


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens."""

    grpc: int
    http: int
    metrics: int


def choose_ports(settings: TritonServerSettings) -> Ports:
    """Those of the settings, free ones in place of 0. SettingsError names the variable of a port that is taken."""
    return _bound(settings, Ports(settings.grpc_port, settings.http_port, settings.metrics_port))


def check_free(settings: TritonServerSettings, ports: Ports) -> None:
    """SettingsError names the variable of a port that another program has taken since it was chosen."""
    _bound(settings, ports)


def _bound(settings: TritonServerSettings, ports: Ports) -> Ports:
    with ExitStack() as all_open:
        return Ports(
            _bind(all_open, settings.host, ports.grpc, "TRITON_SERVER_GRPC_PORT"),
            _bind(all_open, "127.0.0.1", ports.http, "TRITON_SERVER_HTTP_PORT"),
            _bind(all_open, settings.host, ports.metrics, "TRITON_SERVER_METRICS_PORT"),
        )


def _bind(all_open: ExitStack, host: str, port: int, variable: str) -> int:
    # All three stay bound until the last is chosen, so that no two are the same.
    listening = all_open.enter_context(socket.socket())
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as refused:
        raise SettingsError(
            f"{variable}: cannot listen on {host}:{port} ({refused.strerror})", field=variable
        ) from None
    return int(listening.getsockname()[1])
