"""`assay doctor`: what is wrong on this machine, or at an address, in sentences."""

import asyncio
import importlib.util
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import grpc

from assay import __version__
from assay.client.connection import Credentials, metadata, open_channel
from assay.errors import AssayError

_CONNECT_SECONDS = 5.0
_LEAST_DAYS = 14
_LEAST_SHM_BYTES = 256 << 20
_LEAST_MEMORY_BYTES = 4 << 30
_PROGRAM_PACKAGES = {
    "av": "decodes",
    "tritonclient": "asks the model server",
    "torch": "runs the model",
    "transformers": "reads the model's tokeniser",
    "grpc_health": "serves health",
}
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check."""

    is_good: bool
    sentence: str


def run_doctor(address: str, credentials: Credentials) -> int:
    """Prints what was found, at the address or on this machine if it is empty; 1 if anything is wrong."""
    findings = asyncio.run(_collected(address, credentials)) if address else list(machine_findings())
    for each in findings:
        print(f"{'ok   ' if each.is_good else 'WRONG'}  {each.sentence}")
    wrong = sum(not each.is_good for each in findings)
    print(f"{len(findings)} checks, {wrong} wrong" if wrong else f"{len(findings)} checks, all well")
    return int(wrong > 0)


async def _collected(address: str, credentials: Credentials) -> list[Diagnosis]:
    return [each async for each in address_findings(address, credentials)]


def machine_findings() -> Iterator[Diagnosis]:
    """Whether the programs can run here."""
    is_python = sys.version_info[:2] >= (3, 11)
    yield Diagnosis(is_python, f"Python is {sys.version.split()[0]}" + ("" if is_python else "; Assay needs 3.11"))
    for name, work in _PROGRAM_PACKAGES.items():
        is_here = importlib.util.find_spec(name) is not None
        hint = "" if is_here else "; pip install 'assay[serve,engine]'"
        yield Diagnosis(is_here, f"{name}, which {work}, is {'here' if is_here else 'missing'}{hint}")
    yield _numpy()
    yield _shared_memory()
    yield _memory()
    yield _landlock()
    yield _port(50051)


def _numpy() -> Diagnosis:
    try:
        found = version("numpy")
    except PackageNotFoundError:
        return Diagnosis(False, "numpy is missing; pip install assay")
    is_old = int(found.split(".")[0]) < 2
    return Diagnosis(is_old, f"numpy is {found}" + ("" if is_old else "; the embedded Triton needs one below 2"))


def _shared_memory() -> Diagnosis:
    if not Path("/dev/shm").is_dir():
        return Diagnosis(False, "there is no /dev/shm, through which Triton talks to the model")
    free = shutil.disk_usage("/dev/shm").free
    hint = "" if free >= _LEAST_SHM_BYTES else f"; Triton needs {_LEAST_SHM_BYTES >> 20} MiB (docker run --shm-size)"
    return Diagnosis(not hint, f"/dev/shm has {free >> 20} MiB free{hint}")


def _memory() -> Diagnosis:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    hint = "" if total >= _LEAST_MEMORY_BYTES else f"; the whole stack needs {_LEAST_MEMORY_BYTES >> 30} GiB"
    return Diagnosis(not hint, f"the machine has {total / (1 << 30):.1f} GiB of memory{hint}")


def _landlock() -> Diagnosis:
    path = Path("/sys/kernel/security/lsm")
    try:
        has_it = "landlock" in path.read_text()
    except OSError:
        return Diagnosis(True, "whether the kernel has Landlock is not known here; the gateway says so at its start")
    hint = "" if has_it else "; decode workers have seccomp alone (GATEWAY_REQUIRE_LANDLOCK would refuse to start)"
    return Diagnosis(True, f"the kernel has {'Landlock' if has_it else 'no Landlock'}{hint}")


def _port(port: int) -> Diagnosis:
    with socket.socket() as probe:
        is_taken = probe.connect_ex(("127.0.0.1", port)) == 0
    return Diagnosis(
        True, f"port {port} is {'served; `assay doctor 127.0.0.1:' + str(port) + '` asks it' if is_taken else 'free'}"
    )


async def address_findings(address: str, credentials: Credentials) -> AsyncIterator[Diagnosis]:
    """What a client would meet there; ends with the first thing that prevents the checks behind it."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
    except (OSError, TimeoutError, ValueError) as refused:
        words = getattr(refused, "strerror", None) or "no answer"
        yield Diagnosis(False, f"nothing can be reached at {address} ({words}); is the gateway up, and the port open?")
        return
    yield Diagnosis(True, f"something listens at {address}")
    speaks_tls = await asyncio.to_thread(_days_of_certificate, host.strip("[]"), int(port))
    if (speaks_tls is not None) != credentials.is_tls:
        words = (
            "speaks TLS; name its authority with --tls-ca"
            if speaks_tls is not None
            else "speaks no TLS; leave --tls-ca out"
        )
        yield Diagnosis(False, f"it {words}")
        return
    if speaks_tls is not None and speaks_tls >= 0:
        yield Diagnosis(speaks_tls >= _LEAST_DAYS, f"its certificate is good for {speaks_tls:.0f} more days")
    try:
        async with open_channel(address, credentials) as channel:
            async for each in _gateway_findings(channel, credentials):
                yield each
    except AssayError as error:
        yield Diagnosis(False, error.message)


def _days_of_certificate(host: str, port: int) -> float | None:
    """Days that are left of the certificate, -1 if they are not known, None if no TLS is spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with socket.create_connection((host, port), _CONNECT_SECONDS) as raw, context.wrap_socket(raw) as spoken:
            shown = spoken.getpeercert(binary_form=True) or b""
    except (OSError, ssl.SSLError):
        return None
    try:
        from cryptography import x509
    except ImportError:
        return -1.0
    return (x509.load_der_x509_certificate(shown).not_valid_after_utc.timestamp() - time.time()) / 86400


async def _gateway_findings(channel: grpc.aio.Channel, credentials: Credentials) -> AsyncIterator[Diagnosis]:
    health: Any = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=_CONNECT_SECONDS)  # type: ignore[arg-type]
    try:
        answer = await health
    except grpc.aio.AioRpcError as failed:
        yield Diagnosis(
            False, f"health does not answer ({failed.code().name}: {failed.details()}); is this an Assay gateway?"
        )
        return
    said = dict(await health.trailing_metadata() or ())
    release = str(said.get("assay-version", "an unknown release"))
    yield Diagnosis(
        release == __version__,
        f"Assay {release} answers" + ("" if release == __version__ else f"; this is {__version__}"),
    )
    is_serving = answer == _SERVING
    yield Diagnosis(is_serving, "it serves" if is_serving else "it does not serve; its log says what it waits for")
    # A call that ends before its config: a caller that may score hears that a config is missing.
    call: Any = channel.stream_stream("/assay.v1.AssayService/StreamImage")(metadata=metadata(credentials), timeout=10)
    await call.done_writing()
    match await call.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            yield Diagnosis(False, "the token is not accepted, or none was shown; name it with --token-file")
        case grpc.StatusCode.PERMISSION_DENIED:
            yield Diagnosis(False, f"these credentials may not score: {await call.details()}")
        case grpc.StatusCode.INVALID_ARGUMENT:
            yield Diagnosis(True, "these credentials may score")
        case other:
            yield Diagnosis(False, f"a call ends with {other.name}: {await call.details()}")
