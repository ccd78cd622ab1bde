"""One GET: bytes as they arrive, under limits, from a place that the rules allow at every step, over connections to
addresses that were checked: a name is resolved once, and what was checked is what is dialled."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpcore2
from httpcore2 import SOCKET_OPTION, AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

from assay.errors import OverLimit, UriFailed, UriRefused, UriUnreachable
from assay.web.rules import Place, WebRules

T = TypeVar("T")
_MOVED = (301, 302, 303, 307, 308)
_PLAIN = (b"", b"identity")
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> IP addresses, best first. OSError if there are none."""


async def system_resolve(host: str, port: int) -> list[str]:
    """As the machine is set up to; also turns spellings such as 0x7f.1 into the address that they mean."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def checked_addresses(rules: WebRules, resolve: Resolve, host: str, port: int) -> Sequence[str]:
    """What the name resolves to now. UriRefused if any of it is not allowed, OSError if it is nothing."""
    addresses = await resolve(host, port)
    for address in addresses:
        rules.check_address(host, address)
    return addresses


class CheckedDialer(AsyncNetworkBackend):
    """Every TCP connection of an HTTP client goes through here.

    The client goes on to speak TLS for the host's name, so a certificate must be the name's and not the address's.
    """

    def __init__(self, rules: WebRules, resolve: Resolve = system_resolve) -> None:
        self._rules = rules
        self._resolve = resolve
        self._plain = AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - named by httpcore2
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """To the first address that answers. UriRefused before any packet is sent if one may not be dialled."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await checked_addresses(self._rules, self._resolve, host, port)
        except TimeoutError:
            raise ConnectTimeout("the name was not resolved in time") from None
        except OSError as problem:
            raise ConnectError("the name cannot be resolved") from problem
        failure: Exception = ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (ConnectError, ConnectTimeout) as problem:
                failure = problem
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)


@dataclass(frozen=True, slots=True)
class WebLimits:
    """How long other people's servers may take."""

    connect_seconds: float = 5.0
    """To resolve the name, for each address, and for TLS."""
    idle_seconds: float = 15.0
    """Longest wait for the next bytes."""
    wait_seconds: float = 300.0
    """Longest wait for the server in all; the time that the reader of the bytes takes is not counted."""
    redirects: int = 2


class Web:
    """Gets files. One connection per call, which ends with it."""

    def __init__(
        self,
        rules: WebRules,
        limits: WebLimits | None = None,
        *,
        authorities: Path | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        """`authorities` is a PEM file of certificate authorities that are trusted besides the machine's own."""
        self.rules = rules
        self.limits = limits or WebLimits()
        self.resolve = resolve
        self._dialer = CheckedDialer(rules, resolve)
        self._tls = ssl.create_default_context()
        if authorities:
            self._tls.load_verify_locations(authorities)

    async def get(self, uri: str, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """The file's bytes. Raises UriRefused, UriFailed, UriUnreachable, OverLimit; `uri` is checked first."""
        async with aclosing(self.get_place(self.rules.place(uri), max_bytes)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def get_place(self, place: Place, max_bytes: int) -> AsyncGenerator[bytes, None]:
        """As `get`, of a place that somebody else has allowed; its addresses and redirects are checked all the same."""
        clock = _Clock(self.limits, self.rules.prefix)
        for _ in range(self.limits.redirects + 1):
            async with self._response(place, clock) as response:
                if response.status not in _MOVED:
                    async with aclosing(_body(response, place, clock, max_bytes)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    return
                place = self._moved(response, place)
        raise UriRefused(
            f"more than {self.limits.redirects} redirects ({self.rules.prefix}MAX_REDIRECTS); "
            "give the address that they lead to",
            field="uri",
        )

    @asynccontextmanager
    async def _response(self, place: Place, clock: "_Clock") -> AsyncIterator[httpcore2.Response]:
        url = httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
        request = httpcore2.Request(
            "GET",
            url,
            headers={
                "Host": place.origin.partition("://")[2],
                "Accept": "image/*, video/*, */*",
                "Accept-Encoding": "identity",
                "User-Agent": "assay",
                "Connection": "close",
            },
            extensions={"timeout": {"connect": clock.limits.connect_seconds, "write": clock.limits.idle_seconds}},
        )
        async with httpcore2.AsyncConnectionPool(self._tls, network_backend=self._dialer) as pool:
            response = await clock.wait(pool.handle_async_request(request), place, self._first_seconds())
            try:
                yield response
            finally:
                await response.aclose()

    def _first_seconds(self) -> float:
        return self.limits.connect_seconds + self.limits.idle_seconds

    def _moved(self, response: httpcore2.Response, place: Place) -> Place:
        """Where a redirect leads; the rules are asked again as if a client had named it."""
        location = _header(response, b"location").decode("ascii", "replace")
        if location.startswith("/") and not location.startswith("//"):
            location = place.origin + location
        try:
            return self.rules.place(location)
        except UriRefused as refused:
            raise UriRefused(f"{place.origin} redirects elsewhere: {refused.message}", field="uri") from None


class _Clock:
    """What is left of the time that a server may take, over all its redirects."""

    def __init__(self, limits: WebLimits, prefix: str) -> None:
        self.limits = limits
        self._prefix = prefix
        self._spent_seconds = 0.0

    async def wait(self, work: Awaitable[T], place: Place, at_most_seconds: float) -> T:
        """The outcome of a wait for the server, whose failures become ours."""
        loop = asyncio.get_running_loop()
        start, left = loop.time(), self.limits.wait_seconds - self._spent_seconds
        try:
            async with asyncio.timeout(min(at_most_seconds, left)):
                return await work
        except (TimeoutError, httpcore2.TimeoutException):
            raise self._too_slow(place, left <= at_most_seconds) from None
        except httpcore2.ConnectError as problem:
            raise UriUnreachable(_why_not_connected(place, problem), field="uri") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise UriUnreachable(
                f"{place.origin} broke off before the end of the file; try again", field="uri"
            ) from None
        finally:
            self._spent_seconds += loop.time() - start

    def _too_slow(self, place: Place, is_total: bool) -> UriUnreachable:
        if is_total:
            took, name = self.limits.wait_seconds, "MAX_SECONDS"
        else:
            took, name = self.limits.idle_seconds, "IDLE_SECONDS"
        return UriUnreachable(
            f"{place.origin} took more than the {took:g} s of {self._prefix}{name}; try again, or upload the file",
            field="uri",
        )


async def _body(
    response: httpcore2.Response, place: Place, clock: _Clock, max_bytes: int
) -> AsyncGenerator[bytes, None]:
    _check_head(response, place, max_bytes)
    received = 0
    chunks = aiter(response.aiter_stream())
    while True:
        chunk = await clock.wait(anext(chunks, b""), place, clock.limits.idle_seconds)
        if not chunk:
            return
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(place, max_bytes)
        yield chunk


def _check_head(response: httpcore2.Response, place: Place, max_bytes: int) -> None:
    """Refuse what is known before the first byte."""
    if response.status >= 500 or response.status == 429:
        raise UriUnreachable(f"{place.origin} answered with status {response.status}; try again later", field="uri")
    if response.status != 200:
        raise UriFailed(
            f"{place.origin} answered with status {response.status}; check the path, and whether it needs a login",
            field="uri",
        )
    if _header(response, b"content-encoding").lower() not in _PLAIN:
        # A few kilobytes can unpack to gigabytes, and media gain nothing by it.
        raise UriFailed(
            f"{place.origin} sends the file compressed, though asked not to; upload it instead", field="uri"
        )
    length = _header(response, b"content-length")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(place, max_bytes)


def _header(response: httpcore2.Response, name: bytes) -> bytes:
    return next((value for key, value in response.headers if key.lower() == name), b"")


def _too_large(place: Place, max_bytes: int) -> OverLimit:
    return OverLimit(f"the file at {place.origin} is larger than the limit of {max_bytes} bytes", field="uri")


def _why_not_connected(place: Place, problem: httpcore2.ConnectError) -> str:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {place.origin} is not valid for it: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"{place.origin} does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    return f"{place.origin} cannot be reached ({problem}); check the address, or try again"
