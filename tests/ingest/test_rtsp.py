"""A camera (RTSP) through the tunnel: its pictures come through, FFmpeg goes nowhere else."""

import asyncio
from ipaddress import ip_network

import pytest

from assay.client import AsyncClient
from assay.errors import UriFailed, UriRefused, UriUnreachable
from assay.web import Web, WebLimits, WebRules
from ingest.pull import pulled
from tests.gateway.serving import gateway
from tests.ingest.camera import camera
from tests.ingest.test_pull import times
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOOPBACK = (ip_network("127.0.0.0/8"),)


def stream(running, networks=LOOPBACK, schemes=("rtsp",)):
    async def resolve(host, port):
        return ["127.0.0.1"]

    at = running.port
    rules = WebRules((f"camera.test:{at}",), schemes, networks, prefix="INGEST_")
    return pulled(f"rtsp://camera.test:{at}/live", Web(rules, WebLimits(connect_seconds=2.0), resolve=resolve), 1 << 20)


async def test_the_pictures_of_a_camera_become_one_stream():
    async with camera() as running:
        data = b"".join([piece async for piece in stream(running)])
    shown = times(data)
    assert len(shown) >= 59  # FFmpeg keeps back a picture of which it has not observed the end when the camera hangs up
    assert shown == [number / 10 for number in range(len(shown))]


async def test_the_camera_is_asked_in_its_own_name():
    async with camera(20) as running:
        _ = [piece async for piece in stream(running)]
    assert [line.split()[0] for line in running.asked[:4]] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    assert all(f"rtsp://camera.test:{running.port}/live" in line for line in running.asked)


async def test_a_camera_that_redirects_is_refused_and_nobody_else_is_asked():
    async with camera() as elsewhere, camera(redirect=f"rtsp://127.0.0.1:{elsewhere.port}/live") as running:
        with pytest.raises(UriRefused, match=r"rtsp://camera\.test.* redirects elsewhere"):
            _ = [piece async for piece in stream(running)]
    assert elsewhere.asked == []


async def test_a_camera_in_a_network_that_is_not_allowed_is_refused():
    async with camera() as running:
        with pytest.raises(UriRefused, match="this machine itself; INGEST_ALLOWED_NETWORKS"):
            _ = [piece async for piece in stream(running, networks=())]
    assert running.asked == []


async def test_rtsp_is_refused_unless_it_is_allowed():
    async with camera() as running:
        with pytest.raises(UriRefused, match="INGEST_SCHEMES"):
            _ = [piece async for piece in stream(running, schemes=("https",))]


async def test_a_camera_that_is_not_there_is_unreachable():
    async with camera() as running:
        pass
    with pytest.raises(UriUnreachable, match="cannot be reached"):
        _ = [piece async for piece in stream(running)]


async def test_who_stops_reading_ends_the_conversation():
    async with camera(600) as running, asyncio.timeout(20):
        source = stream(running)
        await anext(source)
        await source.aclose()


async def test_a_camera_that_hangs_up_before_a_picture_has_sent_none():
    async with camera(0) as running:
        with pytest.raises((UriFailed, UriUnreachable)):
            _ = [piece async for piece in stream(running)]


async def test_what_a_camera_sends_is_judged_window_by_window(pool):
    model = ScriptedGenerator()
    async with (
        gateway(pool, model, model) as caller,
        AsyncClient(caller.address) as client,
        camera() as running,
    ):
        windows = client.live(stream(running), window_seconds=2.0, waits=True, form="direct")
        reported = [window.window.start_seconds async for window in windows]
    assert reported == [0.0, 2.0, 4.0]
