"""Names of headless Services as a cluster's DNS has them, with the cache that most clusters have before it."""

import asyncio
import time
from typing import Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

ZONE = "assay.svc.cluster.local"
CACHE_SECONDS = 30
"""For so long kubeadm's CoreDNS and NodeLocal DNSCache repeat an answer, whatever has happened to the pods."""


class ClusterDns(asyncio.DatagramProtocol):
    """Answers with the addresses of a Service's published pods, over UDP on port 53 until its block ends."""

    def __init__(self, address: str) -> None:
        """`address` is this machine's in the network of the pods."""
        self._address = address
        self._hosts: dict[str, list[str]] = {}
        self._cached: dict[str, tuple[float, list[str]]] = {}
        """Service to when it was asked for last, and what was answered."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._address, 53))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def publish(self, service: str, host: str) -> None:
        """A pod of the Service is ready."""
        self.withdraw(service, host)
        self._hosts.setdefault(service, []).append(host)

    def withdraw(self, service: str, host: str) -> None:
        """It is not ready any more, or ends."""
        self._hosts[service] = [each for each in self._hosts.get(service, []) if each != host]

    def addresses(self, service: str) -> list[str]:
        """What is answered now. A name without pods is asked for anew each time: nothing is cached of it."""
        asked_at, cached = self._cached.get(service, (0.0, []))
        if not cached or time.monotonic() - asked_at >= CACHE_SECONDS:
            cached = list(self._hosts.get(service, []))
            self._cached[service] = time.monotonic(), cached
        return cached

    def answer(self, query: bytes) -> bytes:
        """A DNS message for one; DNSException if it is none."""
        asked = dns.message.from_wire(query)
        answer = dns.message.make_response(asked, recursion_available=True)
        answer.flags |= dns.flags.AA
        (question,) = asked.question
        service = question.name.to_text().removesuffix(f".{ZONE}.")
        hosts = self.addresses(service)
        if not hosts:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text_list(question.name, CACHE_SECONDS, "IN", "A", hosts))
        return answer.to_wire()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            self._transport.sendto(self.answer(data), addr)
        except (dns.exception.DNSException, ValueError):
            return  # not a query with one question; a client asks again
