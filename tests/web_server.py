"""A web server on loopback that says what a test writes down, with a certificate of an authority made for it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""A whole response, or what writes one."""

HOST = "media.test"
"""What the certificate is for; the tests' resolver knows it."""


def plain(body: bytes, status: str = "200 OK", **headers: str | int) -> bytes:
    """A response with an honest Content-Length, unless the headers say otherwise."""
    reported = {"Content-Length": len(body)} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in reported.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def moved(location: str) -> bytes:
    return plain(b"", "302 Found", Location=location)


async def pour(writer: asyncio.StreamWriter, piece_bytes: int, sent: list[int] | None = None) -> None:
    """Sends for as long as the client takes it; `sent` grows by what the network has taken."""
    # On a lost TLS connection neither write nor drain raises or waits in Python 3.11: hence the question and the sleep.
    while not writer.is_closing():
        writer.write(bytes(piece_bytes))
        await writer.drain()
        await asyncio.sleep(0)
        if sent is not None:
            sent.append(piece_bytes)


@dataclass
class WebServer:
    """One that runs."""

    port: int
    authorities: Path
    heads: list[str] = field(default_factory=list)
    """Requests as they came."""

    def uri(self, path: str = "/file", host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"


@asynccontextmanager
async def web_server(
    folder: Path, answers: Mapping[str, Answer], *names: str, tls: bool = True
) -> AsyncIterator[WebServer]:
    """Serves the answers by path. `names` are those of the certificate, `media.test` if none are given."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or (HOST,))).configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            running.heads.append(head)
            answer = answers[head.split()[1].partition("?")[0]]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has had enough
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context if tls else None)
    running = WebServer(server.sockets[0].getsockname()[1], folder / "ca.pem")
    try:
        yield running
    finally:
        server.close()
