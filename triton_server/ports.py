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
    with ExitStack() as all_open:
        return Ports(
            *(
                _bind(all_open, host, getattr(settings, name), f"TRITON_SERVER_{name.upper()}")
                for name, host in (
                    ("grpc_port", settings.host),
                    ("http_port", "127.0.0.1"),
                    ("metrics_port", settings.host),
                )
            )
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
