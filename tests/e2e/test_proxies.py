"""docs/proxies.md: the settings there, run as they are written, let everything through at once."""

import asyncio
import re
import shutil
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx2
import pytest
import trustme

from assay.v1 import assay_pb2, assay_pb2_grpc
from gateway.http.server import serving_http
from tests.gateway.serving import gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser_full]
DOCS = Path(__file__).parents[2] / "docs" / "proxies.md"
PHOTO, VIDEO = media("jpeg.jpg").read_bytes(), media("mp4_faststart.mp4").read_bytes()


def written(language, *, mentions):
    """The block of settings in that language that mentions a word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if mentions in block)


def envoy(folder, ports):
    text = written("yaml", mentions="static_resources")
    text = text.replace("address: 0.0.0.0, port_value: 443", f"address: 127.0.0.1, port_value: {ports['public']}")
    (folder / "envoy.yaml").write_text(with_names(text, folder, ports))
    return (
        Path(sys.executable).with_name("envoy"),
        "-c",
        folder / "envoy.yaml",
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
    )


def nginx(folder, ports):
    if (program := shutil.which("nginx")) is None:
        pytest.skip("no nginx here: apt-get install nginx-light")
    text = written("nginx", mentions="server {").replace("listen 443", f"listen 127.0.0.1:{ports['public']}")
    text = text.replace("server_name assay.example", "server_name localhost")
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"pid {folder}/pid; error_log stderr; daemon off; master_process off; events {{}}"
    config = f"{head} http {{ access_log off; {places} {with_names(text, folder, ports)} }}"
    (folder / "nginx.conf").write_text(config)
    return program, "-c", folder / "nginx.conf", "-p", folder


def with_names(text, folder, ports):
    text = text.replace("50080", ports["http"]).replace("50051", ports["grpc"])
    return text.replace("/etc/assay", str(folder))


@asynccontextmanager
async def behind(proxy, pool, folder):
    """(address of the proxy, the authority that its certificate is of)."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    model = ScriptedGenerator()
    async with (
        gateway(pool, model, model, http_address="127.0.0.1:0") as caller,
        serving_http(*caller.program) as address,
    ):
        ports = {"http": address.rpartition(":")[2], "grpc": caller.address.rpartition(":")[2], "public": free_port()}
        running = await asyncio.create_subprocess_exec(*map(str, proxy(folder, ports)))
        try:
            await answering(ports["public"])
            yield f"localhost:{ports['public']}", authority
        finally:
            running.kill()
            await running.wait()


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


async def answering(port):
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return writer.close()


@pytest.mark.parametrize("proxy", [envoy, nginx])
async def test_page_uploads_events_and_grpc_come_through_a_proxy(proxy, pool, tmp_path):
    async with behind(proxy, pool, tmp_path) as (address, authority):
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        async with httpx2.AsyncClient(base_url=f"https://{address}", verify=trusting, timeout=30) as client:
            page = await client.get("/")
            scored = await client.post("/v1/images:score", content=PHOTO)
        assert ("<title>Assay" in page.text, scored.status_code) == (True, 200)
        assert await first_event_before_the_body_ends(address, trusting) == "started"
        assert await scored_over_grpc(address, authority) == pytest.approx(scored.json()["score"]["value"])


async def first_event_before_the_body_ends(address, trusting):
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, port, ssl=trusting)
    head = f"POST /v1/videos:score HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n"
    writer.write(f"{head}content-length: {len(VIDEO) + 1}\r\n\r\n".encode() + VIDEO)
    async with asyncio.timeout(20):
        await reader.readuntil(b"event: ")
        kind = (await reader.readline()).decode().strip()
    writer.transport.abort()
    return kind


async def scored_over_grpc(address, authority):
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with grpc.aio.secure_channel(address, trusted) as channel:
        answer = await assay_pb2_grpc.AssayServiceStub(channel).ScoreImage(assay_pb2.ScoreImageRequest(image=PHOTO))
    return answer.result.score.value
