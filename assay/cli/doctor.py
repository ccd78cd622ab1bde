"""`assay doctor`: what is wrong on this machine, or at an address, in sentences."""

import asyncio
import base64
import importlib.util
import json
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import grpc

from assay import __version__
from assay.checkpoint import read_checkpoint
from assay.client.connection import Credentials, metadata, open_channel
from assay.errors import AssayError, CheckpointError
from assay.rpc.environment import inherited

_CONNECT_SECONDS = 5.0
_LEAST_DAYS = 14
_SKEW_SECONDS = 60.0
"""By which clocks may differ."""
_ROOT = Path(__file__).parents[2]
_IMAGE_TRITON = Path("/opt/tritonserver")
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
    is_last: bool = False
    """What is behind it cannot be checked."""


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
    yield _triton()
    yield _checkpoint()
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


def _set_or(name: str, otherwise: Path) -> Path:
    return Path(inherited([name]).get(name) or otherwise)


def _triton() -> Diagnosis:
    """Where `python -m triton_server` looks for it."""
    directory = _set_or("TRITON_SERVER_DIRECTORY", _ROOT / ".triton")
    for each in (directory, _IMAGE_TRITON):
        if (each / "installed.json").is_file() or (each / "bin" / "tritonserver").is_file():
            return Diagnosis(True, f"Triton is in {each}")
    return Diagnosis(False, f"there is no Triton in {directory}; `python -m triton_server install` gets it")


def _checkpoint() -> Diagnosis:
    """The one that is served where no other is named."""
    directory = _set_or("TRITON_SERVER_CHECKPOINT", _ROOT / "checkpoints" / "nano")
    try:
        read_checkpoint(directory)
    except CheckpointError as unusable:
        return Diagnosis(False, f"{unusable.message} (TRITON_SERVER_CHECKPOINT names another)")
    has_weights = any(directory.glob("*.safetensors"))
    said = f"the checkpoint {directory.name} is here" if has_weights else f"{directory} has no weights (*.safetensors)"
    return Diagnosis(has_weights, said)


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
    taken = f"taken; `assay doctor 127.0.0.1:{port}` asks what answers, `assay up --address` takes another port"
    return Diagnosis(True, f"port {port} is {taken if is_taken else 'free'}")


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
    host = host.strip("[]")
    shown = await asyncio.to_thread(_certificate, host, int(port))
    if (shown is not None) != credentials.is_tls:
        words = "speaks TLS; name its authority with --tls-ca" if shown else "speaks no TLS; leave --tls-ca out"
        yield Diagnosis(False, f"it {words}")
        return
    if shown is not None:
        for each in _certificate_findings(host, int(port), shown, credentials):
            yield each
            if each.is_last:
                return
    for each in _token_findings(credentials):
        yield each
    try:
        async with open_channel(address, credentials) as channel:
            async for each in _gateway_findings(channel, credentials):
                yield each
    except AssayError as error:
        yield Diagnosis(False, error.message)


def _certificate(host: str, port: int, authorities: str = "") -> bytes | None:
    """What a server shows, in DER; None if it speaks no TLS. With a file of authorities also SSLError, if it is none of
    theirs or of another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities == "system":
        context.load_default_certs()
    elif authorities:
        context.load_verify_locations(authorities)
    else:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        raw = socket.create_connection((host, port), _CONNECT_SECONDS)
        with raw, context.wrap_socket(raw, server_hostname=host) as spoken:
            return spoken.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        return None


def _certificate_findings(host: str, port: int, shown: bytes, credentials: Credentials) -> Iterator[Diagnosis]:
    """How long it is good, and whether the named authority has signed it for this host."""
    if (dates := _dates(shown)) is not None:
        now, (begins, ends) = time.time(), dates
        days = (ends - now) / 86400
        if begins > now:
            yield Diagnosis(
                False, f"its certificate begins in {begins - now:.0f} s; is this machine's clock right?", True
            )
            return
        if days < 0:
            yield Diagnosis(
                False, f"its certificate ended {-days:.1f} days ago; renew it, or set this machine's clock", True
            )
            return
        yield Diagnosis(days >= _LEAST_DAYS, f"its certificate is good for {days:.0f} more days")
    try:
        _certificate(host, port, str(credentials.tls_ca or "system"))
    except ssl.SSLCertVerificationError as foreign:
        reason = foreign.verify_message
        yield Diagnosis(False, f"its certificate is not accepted: {reason}; does --tls-ca name its authority?", True)


def _dates(certificate: bytes) -> tuple[float, float] | None:
    """When it begins and ends; None where the package that reads it is missing, as with the SDK alone."""
    try:
        from cryptography import x509
    except ImportError:
        return None
    read = x509.load_der_x509_certificate(certificate)
    return read.not_valid_before_utc.timestamp(), read.not_valid_after_utc.timestamp()


def _token_findings(credentials: Credentials) -> Iterator[Diagnosis]:
    """Whether a JWT is valid now, as it says itself; nothing of an API key."""
    shown = dict(metadata(credentials)).get("authorization", "").removeprefix("Bearer ")
    try:
        said = json.loads(base64.urlsafe_b64decode(shown.split(".")[1] + "=="))
        begins, ends = float(said.get("nbf", 0)), float(said.get("exp", "inf"))
    except (IndexError, ValueError, AttributeError, TypeError):
        return
    now = time.time()
    if ends < now - _SKEW_SECONDS:
        yield Diagnosis(False, f"the token ended {now - ends:.0f} s ago by this machine's clock; get a new one")
    if begins > now + _SKEW_SECONDS:
        yield Diagnosis(False, f"the token begins in {begins - now:.0f} s by this machine's clock; is that right?")


async def _gateway_findings(channel: grpc.aio.Channel, credentials: Credentials) -> AsyncIterator[Diagnosis]:
    health: Any = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=_CONNECT_SECONDS)  # type: ignore[arg-type]
    try:
        answer = await health
    except grpc.aio.AioRpcError as failed:
        words = "is this where an Assay gateway serves gRPC? its page and REST have another port"
        yield Diagnosis(False, f"health does not answer ({failed.code().name}); {words}")
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
    with suppress(grpc.aio.InternalError):  # it has ended meanwhile
        await call.done_writing()
    match await call.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            has_shown = bool(credentials.token or credentials.token_file)
            refused = "the token is not accepted; the gateway's log says why, by the request's id" if has_shown else ""
            yield Diagnosis(False, refused or "no token was shown; name its file with --token-file")
        case grpc.StatusCode.PERMISSION_DENIED:
            yield Diagnosis(False, f"these credentials may not score: {await call.details()}")
        case grpc.StatusCode.INVALID_ARGUMENT:
            yield Diagnosis(True, "these credentials may score")
        case other:
            yield Diagnosis(False, f"a call ends with {other.name}: {await call.details()}")
