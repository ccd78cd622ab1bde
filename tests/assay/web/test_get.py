"""assay/web/get.py over real sockets on loopback, with TLS."""

import asyncio
import gzip
from ipaddress import ip_network

import pytest

from assay.errors import OverLimit, UriFailed, UriRefused, UriUnreachable
from assay.web import Web, WebLimits, WebRules
from assay.web.get import system_resolve
from tests.web_server import HOST, moved, plain, pour, web_server

FILE = bytes(range(256)) * 1000
LOOPBACK = (ip_network("127.0.0.0/8"),)
QUICK = WebLimits(connect_seconds=1.0, idle_seconds=0.3, wait_seconds=0.8)


class Names:
    """A resolver with answers of its own, one list after another, and a memory of what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers) or [["127.0.0.1"]]
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def web(server, *, names=None, networks=LOOPBACK, limits=None, hosts=(), schemes=("https",)):
    allowed = hosts or (f"{HOST}:{server.port}", f"other.test:{server.port}")
    rules = WebRules(allowed, schemes, networks)
    return Web(rules, limits or WebLimits(), authorities=server.authorities, resolve=names or Names())


async def body(browser, uri, max_bytes=1 << 20):
    return b"".join([chunk async for chunk in browser.get(uri, max_bytes)])


async def test_a_file_arrives_whole(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        assert await body(web(server), server.uri()) == FILE


async def test_a_certificate_is_checked_against_the_name_and_not_the_address(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}, "other.test") as server:
        assert await body(web(server), server.uri(host="other.test")) == FILE
        with pytest.raises(UriUnreachable, match=rf"certificate of https://{HOST}.* is not valid"):
            await body(web(server), server.uri())


async def test_an_authority_that_nobody_trusts_is_refused(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        stranger = Web(WebRules((f"{HOST}:{server.port}",), networks=LOOPBACK), resolve=Names())
        with pytest.raises(UriUnreachable, match="certificate"):
            await body(stranger, server.uri())


async def test_the_name_is_asked_for_by_the_client_and_no_address(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        await body(web(server), server.uri())
        assert f"Host: {HOST}:{server.port}" in server.heads[0]


async def test_a_name_that_leads_into_the_own_network_is_refused(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        with pytest.raises(UriRefused, match=r"resolves to 127\.0\.0\.1, which is this machine itself; FETCH_ALLOWED"):
            await body(web(server, networks=()), server.uri())
        assert server.heads == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        with pytest.raises(UriRefused, match=r"10\.0\.0\.7"):
            await body(web(server, names=Names(["127.0.0.1", "10.0.0.7"])), server.uri())


async def test_a_name_that_changes_its_address_is_asked_for_once(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        rebinding = Names(["127.0.0.1"], ["10.0.0.7"])
        assert await body(web(server, names=rebinding), server.uri()) == FILE
    assert rebinding.asked == [HOST]


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost"])
async def test_another_spelling_of_this_machine_is_refused(tmp_path, spelling):
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        browser = web(server, networks=(), hosts=(f"{spelling}:{server.port}",), names=system_resolve)
        with pytest.raises(UriRefused, match="this machine itself"):
            await body(browser, server.uri(host=spelling))
        assert server.heads == []


async def test_a_name_that_does_not_exist_is_unreachable(tmp_path):
    async def nobody(host, port):
        raise OSError("no such name")

    async with web_server(tmp_path, {}) as server:
        with pytest.raises(UriUnreachable, match="cannot be resolved"):
            await body(web(server, names=nobody), server.uri())


async def test_a_redirect_to_an_allowed_host_is_followed(tmp_path):
    async with web_server(tmp_path, {"/file": moved("/there"), "/there": plain(FILE)}) as server:
        assert await body(web(server), server.uri()) == FILE


@pytest.mark.parametrize(
    ("location", "setting"),
    [
        ("https://evil.test/file", "FETCH_ALLOWED_HOSTS"),
        ("//evil.test/file", "URI"),
        ("http://media.test/file", "FETCH_SCHEMES"),
        ("file:///etc/passwd", "URI"),
        ("https://127.0.0.1/file", "FETCH_ALLOWED_HOSTS"),
        ("", "URI"),
    ],
)
async def test_a_redirect_to_elsewhere_is_refused(tmp_path, location, setting):
    async with web_server(tmp_path, {"/file": moved(location)}) as server:
        with pytest.raises(UriRefused, match=f"redirects elsewhere: .*{setting}"):
            await body(web(server), server.uri())


async def test_an_address_is_checked_again_behind_a_redirect(tmp_path):
    async with web_server(tmp_path, {"/file": moved("/there"), "/there": plain(FILE)}) as server:
        with pytest.raises(UriRefused, match=r"10\.0\.0\.7"):
            await body(web(server, names=Names(["127.0.0.1"], ["10.0.0.7"])), server.uri())


async def test_redirects_without_an_end_are_refused(tmp_path):
    async with web_server(tmp_path, {"/file": moved("/file")}) as server:
        with pytest.raises(UriRefused, match="more than 2 redirects"):
            await body(web(server), server.uri())
        assert len(server.heads) == 3


async def test_a_file_that_says_it_is_too_large_is_refused_before_its_first_byte(tmp_path):
    async with web_server(tmp_path, {"/file": plain(b"", Content_Length=2_000_000)}) as server:
        with pytest.raises(OverLimit, match="1000000 bytes"):
            await body(web(server), server.uri(), 1_000_000)


async def test_a_file_that_does_not_say_so_is_cut_at_the_limit(tmp_path):
    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await pour(writer, 65536)

    async with web_server(tmp_path, {"/file": endless}) as server:
        with pytest.raises(OverLimit, match="1000000 bytes"):
            await body(web(server), server.uri(), 1_000_000)


async def test_a_compressed_answer_is_refused_and_never_unpacked(tmp_path):
    bomb = plain(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip")
    async with web_server(tmp_path, {"/file": bomb}) as server:
        with pytest.raises(UriFailed, match="compressed"):
            await body(web(server), server.uri())
        assert "Accept-Encoding: identity" in server.heads[0]


async def test_a_file_shorter_than_it_says_is_broken_off(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE, Content_Length=len(FILE) + 10)}) as server:
        with pytest.raises(UriUnreachable, match="broke off"):
            await body(web(server), server.uri())


async def test_what_follows_behind_the_end_of_a_file_is_not_read(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE + b"more", Content_Length=len(FILE))}) as server:
        assert await body(web(server), server.uri()) == FILE


async def test_a_server_that_falls_silent_is_given_up(tmp_path):
    async def silent(writer):
        writer.write(plain(FILE[:100], Content_Length=200))
        await asyncio.sleep(5)

    async with web_server(tmp_path, {"/file": silent}) as server:
        with pytest.raises(UriUnreachable, match=r"0\.3 s of FETCH_IDLE_SECONDS"):
            await body(web(server, limits=QUICK), server.uri())


async def test_a_server_that_drips_is_given_up_when_its_time_is_over(tmp_path):
    async def dripping(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with web_server(tmp_path, {"/file": dripping}) as server:
        with pytest.raises(UriUnreachable, match=r"0\.8 s of FETCH_MAX_SECONDS"):
            await body(web(server, limits=QUICK), server.uri())


async def test_the_time_of_a_slow_reader_is_not_the_servers(tmp_path):
    received = 0
    async with web_server(tmp_path, {"/file": plain(FILE)}) as server:
        async for chunk in web(server, limits=QUICK).get(server.uri(), 1 << 20):
            received += len(chunk)
            await asyncio.sleep(0.3)
    assert received == len(FILE)


async def test_a_slow_reader_slows_the_server_down(tmp_path):
    sent: list[int] = []

    async def counting(writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await pour(writer, 1 << 20, sent)

    async with web_server(tmp_path, {"/file": counting}) as server:
        chunks = web(server).get(server.uri(), 1 << 40)
        await anext(chunks)
        await asyncio.sleep(0.5)
        before_close = sum(sent)
        await chunks.aclose()
    assert before_close < 32 << 20  # what the kernel's buffers hold; a reader that hoards would have hundreds


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("404 Not Found", UriFailed),
        ("403 Forbidden", UriFailed),
        ("206 Partial Content", UriFailed),
        ("503 Service Unavailable", UriUnreachable),
        ("429 Too Many Requests", UriUnreachable),
    ],
)
async def test_an_answer_that_is_no_file_is_named_by_its_status(tmp_path, status, error):
    async with web_server(tmp_path, {"/file": plain(b"sorry", status)}) as server:
        with pytest.raises(error, match=status[:3]):
            await body(web(server), server.uri())


async def test_a_server_that_speaks_no_tls_is_unreachable(tmp_path):
    async with web_server(tmp_path, {"/file": plain(FILE)}, tls=False) as server:
        with pytest.raises(UriUnreachable):
            await body(web(server, limits=QUICK), server.uri())


async def test_an_error_tells_no_secret_of_the_address(tmp_path):
    async with web_server(tmp_path, {"/file": plain(b"", "403 Forbidden")}) as server:
        with pytest.raises(UriFailed) as failed:
            await body(web(server), server.uri("/file?signature=secret"))
    assert "secret" not in failed.value.message
