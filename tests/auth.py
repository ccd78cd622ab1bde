"""python -m tests.auth: every kind of credentials against every method of every program, each a process of its own.

Prints a line per program and method, and every outcome that was not expected; exit code 1 if there is one.
"""

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx2
from google.protobuf.descriptor import ServiceDescriptor

from assay.v1 import assay_pb2, attribute_extraction_pb2, fetch_pb2, live_pb2, scoring_pb2
from tests.certificates import Authority
from tests.tokens import API_KEY, AUDIENCE, ISSUER, Issuer, write_api_keys

ROOT = Path(__file__).parent.parent
OUR_GATEWAY, STRANGER = "spiffe://assay/gateway", "spiffe://assay/stranger"
_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_HEALTH = "/grpc.health.v1.Health/Watch"
_START_SECONDS = 180.0
_REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE")
HTTP_PATHS = {
    "POST /v1/images:score": "score",
    "POST /v1/videos:score": "score",
    "POST /v1/uris:score": "score uri",
    "GET /v1/models": "score",
    "PUT /v1/uploads/x?offset=0": "score",
    "GET /v1/uploads/x": "score",
    "POST /assay.v1.AssayService/ScoreImage": "score",
    "POST /assay.v1.AssayService/ScoreUri": "score uri",
    "POST /assay.v1.UploadService/CreateUpload": "score",
    "POST /assay.v1.UploadService/GetUpload": "score",
    "POST /assay.v1.UploadService/FinishUpload": "score",
    "POST /assay.v1.UploadService/DeleteUpload": "score",
    "POST /assay.v1.UploadService/ScoreUpload": "score",
    "POST /assay.v1.UploadService/ScoreLiveUpload": "live",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call with one kind of credentials ended."""

    program: str
    method: str
    credentials: str
    expected: str
    """A gRPC status or HTTP status; "in" for anything but a refusal."""
    got: str

    @property
    def is_expected(self) -> bool:
        if self.expected == "in":
            return self.got not in (*_REFUSALS, "401", "403")
        return self.got == self.expected


async def outcomes(directory: Path) -> AsyncIterator[Outcome]:
    """Of every program."""
    authority, issuer = Authority(directory), Issuer(directory)
    async with programs(directory, authority, issuer) as addresses:
        async for outcome in gateway_outcomes(addresses["gateway"], authority, issuer):
            yield outcome
        async for outcome in http_outcomes(addresses["http"], authority, issuer):
            yield outcome
        for name, service in _SERVICES.items():
            async for outcome in service_outcomes(name, service, addresses[name], authority):
                yield outcome


_SERVICES = {
    "attribute_extraction": attribute_extraction_pb2.DESCRIPTOR.services_by_name["AttributeExtractionService"],
    "scoring": scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    "fetch": fetch_pb2.DESCRIPTOR.services_by_name["FetchService"],
}


def shown_tokens(issuer: Issuer, scopes: str) -> Mapping[str, tuple[str, str]]:
    """Kind of token -> the token, and what a method that needs these scopes makes of it."""
    bad = {wrong: (token, "UNAUTHENTICATED") for wrong, token in issuer.bad_tokens().items()}
    less = " ".join(each for each in ("score", "uri", "live") if each not in scopes.split()[-1:])
    return {
        **bad,
        **{f"a token, {name}": (issuer.token(name), "in") for name in ("RS256", "ES256", "EdDSA")},
        "a token 50 s late": (issuer.token(exp=_now() - 50), "in"),
        "without the scope": (issuer.token(scope=less), "PERMISSION_DENIED" if scopes else "in"),
        "an API key": (API_KEY, "in" if "live" not in scopes and "uri" not in scopes else "PERMISSION_DENIED"),
    }


def _now() -> int:
    return int(time.time())


async def gateway_outcomes(address: str, authority: Authority, issuer: Issuer) -> AsyncIterator[Outcome]:
    """Every kind of token."""
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    methods = {
        **{f"/assay.v1.AssayService/{name}": "score" for name in ("ScoreImage", "StreamImage", "StreamVideo")},
        "/assay.v1.AssayService/ScoreUri": "score uri",
        "/assay.v1.LiveService/ScoreLive": "live",
        _REFLECTION: "",
    }
    described = [
        assay_pb2.DESCRIPTOR.services_by_name["AssayService"],
        live_pb2.DESCRIPTOR.services_by_name["LiveService"],
    ]
    assert {name for each in described for name in _methods(each)} <= set(methods), "a method is not in the matrix"
    async with grpc.aio.secure_channel(address, credentials) as channel:
        for method, scopes in methods.items():
            for kind, (token, expected) in shown_tokens(issuer, scopes).items():
                # gRPC sends no other characters; over HTTP they come.
                shown = [("authorization", f"Bearer {token}")] if token and token.isascii() else []
                yield Outcome("gateway", method, kind, expected, await _status(channel, method, shown))
        yield Outcome("gateway", _HEALTH, "no token", "in", await _status(channel, _HEALTH, []))


async def http_outcomes(address: str, authority: Authority, issuer: Issuer) -> AsyncIterator[Outcome]:
    """Every kind of token."""
    statuses = {"UNAUTHENTICATED": "401", "PERMISSION_DENIED": "403", "in": "in"}
    async with httpx2.AsyncClient(base_url=f"https://{address}", verify=str(authority.file), timeout=30) as client:
        for path, scopes in HTTP_PATHS.items():
            verb, _, where = path.partition(" ")
            for kind, (token, expected) in shown_tokens(issuer, scopes).items():
                headers = {"content-type": "application/octet-stream" if "/v1/" in where else "application/json"}
                if token:
                    headers["authorization"] = f"Bearer {token}".encode("latin-1")
                answer = await client.request(verb, where, headers=headers, content=b"" if verb == "GET" else b"{}")
                yield Outcome("gateway (http)", path, kind, statuses[expected], str(answer.status_code))


async def service_outcomes(
    name: str, service: ServiceDescriptor, address: str, authority: Authority
) -> AsyncIterator[Outcome]:
    """Every kind of certificate."""
    (foreign := authority.file.parent / f"foreign-{name}").mkdir()
    roots = authority.file.read_bytes()
    shown = {
        "no certificate": (None, "UNAVAILABLE"),
        "another authority's": (Authority(foreign).issue("foreign", OUR_GATEWAY), "UNAVAILABLE"),
        "one not on the list": (authority.issue("stranger", STRANGER), "PERMISSION_DENIED"),
        "one without a SPIFFE id": (authority.issue("nameless"), "PERMISSION_DENIED"),
        "the gateway's": (authority.issue("caller", OUR_GATEWAY), "in"),
    }
    for kind, (files, expected) in shown.items():
        chain, key = (each.read_bytes() for each in files) if files else (None, None)
        async with grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(roots, key, chain)) as channel:
            for method in (*_methods(service), _REFLECTION):
                yield Outcome(name, method, kind, expected, await _status(channel, method, []))
    async with grpc.aio.insecure_channel(address) as channel:
        yield Outcome(name, _methods(service)[0], "plain text", "UNAVAILABLE", await _status(channel, _HEALTH, []))


def _methods(service: ServiceDescriptor) -> list[str]:
    return [f"/{service.full_name}/{method.name}" for method in service.methods]


async def _status(channel: grpc.aio.Channel, method: str, metadata: list[tuple[str, str]]) -> str:
    """Of a call whose sender has not sent a message; "in" if none comes before it has half-closed."""
    call = channel.stream_stream(method)(metadata=metadata, timeout=10)
    try:
        async with asyncio.timeout(0.15):
            return (await call.code()).name
    except TimeoutError:
        with suppress(grpc.aio.InternalError):  # it has ended meanwhile
            await call.done_writing()
        async with asyncio.timeout(10):
            if method == _HEALTH:
                return "in"
            return (await call.code()).name
    finally:
        call.cancel()


@asynccontextmanager
async def programs(directory: Path, authority: Authority, issuer: Issuer) -> AsyncIterator[dict[str, str]]:
    """Gateway and services as an operator would start them; their addresses."""
    addresses = {name: f"localhost:{_free_port()}" for name in ("gateway", "http", *_SERVICES)}
    keys = write_api_keys(directory)
    running = []
    try:
        for name, module in (("gateway", "gateway"), *((each, f"services.{each}") for each in _SERVICES)):
            certificate, key = authority.issue(
                f"of-{name}", OUR_GATEWAY if name == "gateway" else f"spiffe://assay/{name}"
            )
            said = {
                "ADDRESS": addresses[name],
                "REFLECTION": "true",
                "TLS_CERTIFICATE": str(certificate),
                "TLS_KEY": str(key),
                "TLS_AUTHORITIES": str(authority.file),
            }
            if name == "gateway":
                said |= {
                    "HTTP_ADDRESS": addresses["http"],
                    "AUTH_JWKS": str(issuer.jwks),
                    "AUTH_ISSUER": ISSUER,
                    "AUTH_AUDIENCE": AUDIENCE,
                    "AUTH_KEYS": str(keys),
                    **{each.upper(): addresses[each] for each in _SERVICES},
                }
            else:
                said["TLS_CALLERS"] = OUR_GATEWAY
            environment = os.environ | {f"{name.upper()}_{key}": value for key, value in said.items()}
            running.append(
                await asyncio.create_subprocess_exec(
                    sys.executable, "-m", module, cwd=ROOT, env=environment, stderr=asyncio.subprocess.DEVNULL
                )
            )
        for address in addresses.values():
            await _listening(address)
        yield addresses
    finally:
        for process in running:
            process.terminate()
        await asyncio.gather(*(process.wait() for process in running))


async def _listening(address: str) -> None:
    host, _, port = address.rpartition(":")
    end_seconds = time.monotonic() + _START_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            if time.monotonic() > end_seconds:
                sys.exit(f"nothing listens at {address} after {_START_SECONDS:g} s")
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _main() -> int:
    counts: Counter[tuple[str, str]] = Counter()
    wrong = []
    with tempfile.TemporaryDirectory() as directory:
        async for outcome in outcomes(Path(directory)):
            counts[outcome.program, outcome.method] += 1
            if not outcome.is_expected:
                wrong.append(outcome)
    for (program, method), count in counts.items():
        print(f"{program:22} {method:60} {count:3} kinds of credentials")
    for outcome in wrong:
        print(f"NOT AS EXPECTED: {outcome}")
    print(f"{counts.total()} calls, {len(wrong)} not as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
