"""A client's upload as it comes: how slow it may be, how long it may take, how many of one peer may be unfinished."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import unquote

from annotated_types import Gt, Interval

from assay.errors import Busy, UploadStalled

T = TypeVar("T")
_Hour = Annotated[float, Interval(gt=0, le=3600)]
_IPV6_NETWORK_BITS = 64
"""What one customer of a provider is given; each of its addresses may be the same machine."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What is counted is the time in which we waited for the client, and not that in which it waited for us."""

    idle_seconds: _Hour = 30.0
    """Longest wait for the next message of an upload."""
    grace_seconds: _Hour = 30.0
    """For so long an upload may be slower than the least rate: at its start, and again after it was faster."""
    min_bytes_per_second: Annotated[float, Gt(0)] = 1024.0
    """The least rate of an upload, or of a live stream."""
    max_seconds: Annotated[float, Gt(0)] = 1800.0
    """Longest upload, without the time in which the client had to wait for us."""


class UploadClock:
    """Raises `UploadStalled` for a client that sends too little.

    The rate is measured with a bucket of seconds, full at the start: waiting drains it, every byte fills it by the time
    that it may take at the least rate.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._left_seconds = limits.grace_seconds
        self._waited_seconds = 0.0

    async def wait(self, message: Awaitable[T]) -> T:
        """The message, if it comes in time."""
        limits, loop = self._limits, asyncio.get_running_loop()
        total_left = limits.max_seconds - self._waited_seconds
        start = loop.time()
        try:
            async with asyncio.timeout(min(limits.idle_seconds, self._left_seconds, total_left)):
                return await message
        except TimeoutError:
            raise UploadStalled(self._complaint(total_left)) from None
        finally:
            waited = loop.time() - start
            self._waited_seconds += waited
            self._left_seconds -= waited

    def received(self, size: int) -> None:
        """So many bytes of the upload were in it."""
        limits = self._limits
        self._left_seconds = min(limits.grace_seconds, self._left_seconds + size / limits.min_bytes_per_second)

    def _complaint(self, total_left: float) -> str:
        limits = self._limits
        if limits.idle_seconds <= min(self._left_seconds, total_left):
            return f"nothing came for {limits.idle_seconds:g} s; send the upload again, and end it after its last byte"
        if self._left_seconds <= total_left:
            return (
                f"less than {limits.min_bytes_per_second:g} bytes per second came for {limits.grace_seconds:g} s; "
                "send the upload again over a faster line, or a smaller file"
            )
        return f"the upload took more than the {limits.max_seconds:g} s allowed; send a smaller file"

    async def timed(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks, each in time."""
        nothing: bytes | None = None
        while (chunk := await self.wait(anext(chunks, nothing))) is not None:
            self.received(len(chunk))
            yield chunk


class UnfinishedUploads:
    """Counts the uploads that have not come to their end, for each peer and for all together."""

    def __init__(self, max_per_peer: int, max_total: int) -> None:
        self._max_per_peer = max_per_peer
        self._max_total = max_total
        self._by_peer: Counter[str] = Counter()

    @property
    def count(self) -> int:
        return self._by_peer.total()

    def begin(self, peer: str) -> ExitStack:
        """One more, of this peer as gRPC names it, until what is given back is closed. `Busy` if there are too many."""
        host = host_of(peer)
        if self._by_peer[host] >= self._max_per_peer:
            raise Busy(f"{self._max_per_peer} uploads of yours are unfinished; finish one of them, then try again")
        if self.count >= self._max_total:
            raise Busy(f"{self._max_total} uploads are unfinished here; try again in a moment")
        self._by_peer[host] += 1
        unfinished = ExitStack()
        unfinished.callback(self._end, host)
        return unfinished

    def _end(self, host: str) -> None:
        self._by_peer[host] -= 1
        if not self._by_peer[host]:
            del self._by_peer[host]


def host_of(peer: str) -> str:
    """The part of gRPC's name of a peer that its machine cannot change at will.

    >>> host_of("ipv4:192.0.2.7:50112"), host_of("ipv6:%5B2001:db8::5%5D:50112"), host_of("unix:")
    ('192.0.2.7', '2001:db8::/64', 'unix:')
    """
    family, _, rest = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return peer
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_NETWORK_BITS), strict=False))
