"""python -m triton_server: serves triton_models/ until SIGTERM. python -m triton_server install: fetches Triton.

Settings are TRITON_SERVER_* (settings.py). One line on standard output, `ready triton_server HOST:PORT` (gRPC), when
the model has answered a first request; everything else goes to standard error.
"""

import asyncio
import contextlib
import logging
import signal
import sys

from assay import __version__
from assay.errors import AssayError, SettingsError
from assay.rpc.access import is_loopback
from assay.rpc.health import Health, VersionedHealth
from assay.rpc.logs import log_to_stderr
from assay.rpc.metrics import serve_build_info
from assay.rpc.serve import command_line, health_alone, served_metrics
from assay.rpc.settings import load
from triton_server.install import install
from triton_server.metrics import add_triton
from triton_server.server import MODEL, metrics_url
from triton_server.settings import TritonServerSettings, choose_ports
from triton_server.supervisor import supervise
from triton_server.tls import pem_files


def main(arguments: list[str]) -> int:
    """0 after SIGTERM or SIGINT, 1 with a log line that says why if it cannot serve; SystemExit by --help (0), or
    by a wrong command line (2)."""
    parser = command_line("triton_server")
    parser.add_argument("command", nargs="?", choices=["install"], help="fetch the Triton server instead of running it")
    command = parser.parse_args(arguments).command
    log_to_stderr("triton_server")
    try:
        settings = load(TritonServerSettings)
        if command == "install":
            is_new = install(settings.directory.absolute())
            print(f"Triton {'installed into' if is_new else 'is already in'} {settings.directory}", file=sys.stderr)
        else:
            logging.getLogger("triton_server").info("version %s", __version__)
            _refuse_open_door(settings)
            asyncio.run(_serve(settings))
    except AssayError as refused:
        logging.getLogger("triton_server").critical("%s", refused.message)
        return 1
    return 0


def _refuse_open_door(settings: TritonServerSettings) -> None:
    is_locked = pem_files(settings) is not None and settings.tls_authorities is not None
    addresses = {"HOST": f"{settings.host}:0", "SUPERVISOR_METRICS_ADDRESS": settings.supervisor_metrics_address}
    beyond = [name for name, address in addresses.items() if not is_loopback(address)]
    if beyond and not is_locked and not settings.insecure:
        raise SettingsError(
            f"TRITON_SERVER_{beyond[0]} is not of the loopback range, and would be served without TLS or to everybody; "
            "set TRITON_SERVER_TLS_CERTIFICATE, _TLS_KEY and _TLS_AUTHORITIES, or TRITON_SERVER_INSECURE=true if the "
            "network lets in the two services alone"
        )


async def _serve(settings: TritonServerSettings) -> None:
    ports = choose_ports(settings)
    add_triton(metrics_url(settings, ports))
    renewing = served_metrics(settings.supervisor_metrics_address, pem_files(settings))
    serve_build_info("triton_server")
    status = Health(VersionedHealth(), [MODEL])
    await status.set(False)
    await status.set_live()
    async with health_alone(settings.health_address, status):
        serving = asyncio.create_task(supervise(settings, ports, _announce, status.set))
        showing = asyncio.create_task(renewing())
        for number in (signal.SIGTERM, signal.SIGINT):
            # Once: a second signal must not interrupt the cleaning up that the first has begun.
            asyncio.get_running_loop().add_signal_handler(number, lambda: serving.cancelling() or serving.cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        showing.cancel()


def _announce(address: str) -> None:
    print(f"ready triton_server {address}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
