"""The SDK and the command line on a live stream, against the real gateway and decoder."""

import json

import numpy as np
import pytest
from prometheus_client import REGISTRY

from assay.cli.live import LiveOptions, clock_seconds, paced, score_live
from assay.client import AsyncClient
from assay.errors import BadMedia, InvalidRequest
from assay.frame import Frame
from tests.assay.test_client import refused_port
from tests.gateway.serving import gateway
from tests.media.live import live
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recording.ts"
    path.write_bytes(live(6.0))
    return path


async def judged(pool, source, **wishes):
    model = ScriptedGenerator(choices={"clarity": " very clear"})
    async with gateway(pool, model, model) as caller, AsyncClient(caller.address) as client:
        return [window async for window in client.live(source, window_seconds=2.0, waits=True, **wishes)]


async def test_a_file_is_judged_window_by_window(pool, recording):
    reported = await judged(pool, recording)
    assert [(each.index, each.window.start_seconds) for each in reported] == [(0, 0.0), (1, 2.0), (2, 4.0)]
    assert reported[0].window.attributes["clarity"].grade == "very clear"


async def test_a_stream_that_was_judged_counts_as_a_success(pool, recording):
    labels = {"method": "/assay.v1.LiveService/ScoreLive", "reason": "OK"}
    before = REGISTRY.get_sample_value("assay_calls_total", labels) or 0
    await judged(pool, recording)
    assert REGISTRY.get_sample_value("assay_calls_total", labels) == before + 1


async def test_bytes_are_judged_as_they_come(pool):
    async def coming():
        for start in range(0, len(live(4.0)), 5000):
            yield live(4.0)[start : start + 5000]

    assert len(await judged(pool, coming(), form="direct")) == 2


async def test_decoded_frames_are_judged(pool):
    async def frames():
        for index in range(40):
            yield Frame(np.full((720, 1280, 3), 90, np.uint8), index / 10)

    assert len(await judged(pool, frames(), form="direct")) == 2


async def test_a_source_that_fails_ends_the_stream_with_its_own_error(pool):
    async def failing():
        yield live(4.0)
        raise OSError("the camera is gone")

    with pytest.raises(OSError, match="the camera is gone"):
        await judged(pool, failing())


async def test_what_the_server_says_is_raised(pool):
    with pytest.raises(BadMedia):
        await judged(pool, b"no stream at all" * 1000)


async def test_a_window_that_cannot_be_meant_is_refused_before_anything_is_sent(pool, recording):
    with pytest.raises(InvalidRequest, match=r"a hop has 0\.5 to 3600 s, got 0\.1"):
        await judged(pool, recording, hop_seconds=0.1)


async def printed(pool, capsys, source, **wishes):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        code = await score_live(caller.address, LiveOptions(str(source), 2.0, waits=True, **wishes))
    return code, capsys.readouterr()


async def test_the_command_prints_a_line_per_window(pool, recording, capsys):
    code, reported = await printed(pool, capsys, recording)
    assert (code, reported.err) == (0, "")
    assert reported.out.splitlines()[1].startswith("0:00:02.0 - 0:00:04.0  3.72 ± ")


async def test_a_line_says_what_was_lost_before_it(pool, tmp_path, capsys):
    (tmp_path / "two.ts").write_bytes(live(2.0) + live(2.0, 5000.0))
    _, reported = await printed(pool, capsys, tmp_path / "two.ts")
    assert reported.out.splitlines()[1].endswith("[1 jumps of its clock]")


async def test_a_window_as_json_says_everything(pool, recording, capsys):
    _, reported = await printed(pool, capsys, recording, as_json=True)
    first = json.loads(reported.out.splitlines()[0])
    assert (first["index"], first["start_seconds"], first["dropped_windows"]) == (0, 0.0, 0)
    assert first["score"]["value"] == pytest.approx(3.72)


async def test_a_failure_is_a_sentence_and_an_exit_code(pool, tmp_path, capsys):
    (tmp_path / "text.ts").write_text("hello " * 100)
    code, reported = await printed(pool, capsys, tmp_path / "text.ts")
    assert code == 1
    assert "this is a text" in reported.err
    assert (await printed(pool, capsys, tmp_path / "none.ts"))[0] == 1


async def test_no_server_is_an_exit_code_of_its_own(recording, capsys):
    assert await score_live(f"127.0.0.1:{refused_port()}", LiveOptions(str(recording))) == 3


async def test_a_paced_recording_takes_its_time(monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("assay.cli.live.asyncio.sleep", sleep)

    async def chunks():
        for start in range(0, len(live(6.0)), 1000):
            yield live(6.0)[start : start + 1000]

    assert b"".join([piece async for piece in paced(chunks())]) == live(6.0)
    assert max(slept) == pytest.approx(5.9, abs=0.5)


async def test_what_has_no_clock_in_its_bytes_cannot_be_paced():
    async def chunks():
        yield live(2.0, container="mp4")

    with pytest.raises(InvalidRequest, match="only MPEG-TS can be paced"):
        _ = [piece async for piece in paced(chunks())]


async def test_a_packet_without_a_clock_has_none():
    assert clock_seconds(b"G\x1f\xff\x10" + bytes(184)) is None
