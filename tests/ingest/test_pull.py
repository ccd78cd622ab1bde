"""ingest over real sockets on loopback: a playlist that is served with TLS becomes MPEG-TS, and then scores."""

import asyncio
import io
from contextlib import aclosing, suppress
from ipaddress import ip_network

import av
import pytest

from assay.client import AsyncClient
from assay.errors import AssayError, OverLimit, UriFailed, UriRefused, UriUnreachable
from assay.web import Web, WebLimits, WebRules
from ingest.pull import pulled
from tests.gateway.serving import gateway
from tests.media.live import live
from tests.scripted_generator import ScriptedGenerator
from tests.web_server import HOST, moved, plain, web_server

pytestmark = pytest.mark.asyncio(loop_scope="session")


def playlist(*segments, head=b"", ends=True):
    lines = b"".join(b"#EXTINF:2,\n" + segment.encode() + b"\n" for segment in segments)
    end = b"#EXT-X-ENDLIST\n" if ends else b""
    return plain(b"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n" + head + lines + end)


SEGMENTS = {f"/s{number}.ts": plain(live(2.0, 2.0 * number)) for number in range(3)}
WHOLE = {"/list.m3u8": playlist("s0.ts", "s1.ts", "s2.ts"), **SEGMENTS}


def web(server, **rules):
    async def resolve(host, port):
        return ["127.0.0.1"]

    allowed = {"hosts": (f"{HOST}:{server.port}",), "networks": (ip_network("127.0.0.0/8"),)} | rules
    limits = WebLimits(connect_seconds=30.0, idle_seconds=30.0)  # none of these servers is slow but by a busy machine
    return Web(WebRules(**allowed, prefix="INGEST_"), limits, authorities=server.authorities, resolve=resolve)


async def stream(tmp_path, answers, max_file_bytes=1 << 20, **rules):
    """The MPEG-TS that comes out, and what the server was asked for."""
    async with web_server(tmp_path, answers) as server:
        source = pulled(server.uri("/list.m3u8"), web(server, **rules), max_file_bytes)
        data = b"".join([piece async for piece in source])
    return data, [head.split()[1] for head in server.heads]


def times(data):
    with av.open(io.BytesIO(data), format="mpegts") as media:
        return [
            round(float(packet.pts * packet.time_base), 1) for packet in media.demux(video=0) if packet.pts is not None
        ]


async def test_the_segments_of_a_playlist_become_one_stream(tmp_path):
    data, asked = await stream(tmp_path, WHOLE)
    assert asked == ["/list.m3u8", "/s0.ts", "/s1.ts", "/s2.ts"]
    shown = times(data)
    assert (len(shown), round(shown[-1] - shown[0], 1)) == (60, 5.9)


async def test_a_playlist_that_grows_is_read_again(tmp_path):
    lists = [
        playlist("s0.ts", "s1.ts", head=b"#EXT-X-MEDIA-SEQUENCE:0\n", ends=False),
        playlist("s1.ts", "s2.ts", head=b"#EXT-X-MEDIA-SEQUENCE:1\n"),
    ]

    async def growing(writer):
        writer.write(lists.pop(0) if len(lists) > 1 else lists[0])
        await writer.drain()

    data, _ = await stream(tmp_path, {**SEGMENTS, "/list.m3u8": growing})
    assert len(times(data)) == 60


async def test_a_segment_that_is_missing_is_left_out_and_logged(tmp_path, caplog):
    data, _ = await stream(tmp_path, {**WHOLE, "/s1.ts": plain(b"", "404 Not Found")})
    assert len(times(data)) == 40
    assert "left out: https://media.test" in caplog.text


async def test_a_playlist_of_playlists_is_followed(tmp_path):
    master = plain(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\nvideo.m3u8\n")
    data, _ = await stream(tmp_path, {**SEGMENTS, "/list.m3u8": master, "/video.m3u8": playlist("s0.ts")})
    assert len(times(data)) == 20


async def test_segments_may_be_fragments_of_mp4(tmp_path):
    whole = live(4.0, container="mp4")
    cut = whole.index(b"moof") - 4
    head = b'#EXT-X-MAP:URI="init.mp4"\n'
    answers = {
        "/list.m3u8": playlist("s.m4s", head=head),
        "/init.mp4": plain(whole[:cut]),
        "/s.m4s": plain(whole[cut:]),
    }
    data, _ = await stream(tmp_path, answers)
    assert len(times(data)) == 40


@pytest.mark.parametrize(
    ("segment", "complaint"),
    [
        ("https://evil.test/s.ts", "evil.test is not allowed: INGEST_ALLOWED_HOSTS"),
        ("https://169.254.169.254/latest/s.ts", "169.254.169.254 is not allowed"),
        ("http://media.test/s.ts", "INGEST_SCHEMES"),
        ("file:///etc/passwd", "cannot be read"),
        ("file:///etc/passwd.ts", "."),
        ("/../../secret.ts", "404"),
        ("crypto+https://media.test/s.ts", "."),
        ("tcp://media.test:22/s.ts", "."),
        ("concat:/etc/passwd|/etc/hosts", "cannot be read"),
    ],
)
async def test_a_playlist_that_leads_elsewhere_gets_nothing_from_there(tmp_path, segment, complaint):
    with pytest.raises(AssayError, match=complaint):
        await stream(
            tmp_path,
            {
                "/list.m3u8": playlist(segment),
                "/secret.ts": plain(b"", "404 Not Found"),
                "/../../secret.ts": plain(b"", "404 Not Found"),
            },
        )


async def test_a_key_that_lies_elsewhere_is_refused(tmp_path):
    head = b'#EXT-X-KEY:METHOD=AES-128,URI="https://evil.test/key"\n'
    with pytest.raises(AssayError):
        await stream(tmp_path, {"/list.m3u8": playlist("s0.ts", head=head), **SEGMENTS})


async def test_a_segment_that_redirects_elsewhere_is_refused(tmp_path):
    with pytest.raises(UriRefused, match=r"redirects elsewhere: .*evil\.test"):
        await stream(tmp_path, {"/list.m3u8": playlist("s0.ts"), "/s0.ts": moved("https://evil.test/s0.ts")})


async def test_a_host_that_leads_into_the_own_network_is_refused(tmp_path):
    with pytest.raises(UriRefused, match="this machine itself; INGEST_ALLOWED_NETWORKS"):
        await stream(tmp_path, WHOLE, networks=())


async def test_parts_of_files_are_refused_by_name(tmp_path):
    with pytest.raises(UriFailed, match="EXT-X-BYTERANGE"):
        await stream(tmp_path, {"/list.m3u8": playlist("s0.ts", head=b"#EXT-X-BYTERANGE:1000@100\n"), **SEGMENTS})


async def test_a_segment_that_is_too_large_is_refused(tmp_path):
    with pytest.raises(OverLimit, match="5000 bytes"):
        await stream(tmp_path, WHOLE, max_file_bytes=5000)


async def test_a_playlist_that_is_not_there_is_reported_by_its_status(tmp_path):
    with pytest.raises(UriFailed, match="404"):
        await stream(tmp_path, {"/list.m3u8": plain(b"", "404 Not Found")})


async def test_what_is_no_playlist_is_reported(tmp_path):
    with pytest.raises(UriFailed, match="cannot be read"):
        await stream(tmp_path, {"/list.m3u8": plain(b"hello " * 100)})


async def test_a_server_that_is_gone_is_unreachable(tmp_path):
    async with web_server(tmp_path, WHOLE) as server:
        browser, uri = web(server), server.uri("/list.m3u8")
    with pytest.raises(UriUnreachable):
        await anext(pulled(uri, browser, 1 << 20))


async def test_who_stops_reading_ends_the_pull(tmp_path):
    endless = playlist("s0.ts", "s1.ts", "s2.ts", ends=False)
    async with web_server(tmp_path, {**WHOLE, "/list.m3u8": endless}) as server:
        source = pulled(server.uri("/list.m3u8"), web(server), 1 << 20)
        await anext(source)
        async with asyncio.timeout(20):
            await source.aclose()


async def test_a_pull_ends_although_its_playlist_stands_still(tmp_path):
    """FFmpeg reads such a playlist again and again, a thousand times, and no picture comes by which to stop it."""
    stuck = playlist("s0.ts", ends=False)

    async def read(source):
        with suppress(TimeoutError):
            async with asyncio.timeout(3), aclosing(source) as pieces:
                async for _ in pieces:
                    pass

    async with web_server(tmp_path, {**WHOLE, "/list.m3u8": stuck}) as server:
        reading = asyncio.create_task(read(pulled(server.uri("/list.m3u8"), web(server), 1 << 20)))
        await asyncio.wait([reading], timeout=30)
        assert reading.done()


async def test_what_is_pulled_is_judged_window_by_window(tmp_path, pool):
    model = ScriptedGenerator()
    async with (
        gateway(pool, model, model) as caller,
        AsyncClient(caller.address) as client,
        web_server(tmp_path, WHOLE) as server,
    ):
        source = pulled(server.uri("/list.m3u8"), web(server), 1 << 20)
        reported = [window async for window in client.live(source, window_seconds=2.0, waits=True, form="direct")]
    assert [window.window.start_seconds for window in reported] == [0.0, 2.0, 4.0]
