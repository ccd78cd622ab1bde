"""Connections to addresses that were checked: a name is resolved once, and what was checked is what is dialled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

from httpcore2 import SOCKET_OPTION, AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream, ConnectError, ConnectTimeout

from assay.web.rules import WebRules

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
