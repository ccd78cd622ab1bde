"""The SDK against a scripted gateway: what is sent, what comes back, and what every failure turns into."""

import asyncio
import io
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.client import AsyncClient, Client, NoServer, TookTooLong, calls, is_picture
from assay.client.upload import CHUNK_BYTES
from assay.errors import AssayError, BadMedia, Busy, InvalidRequest, ModelUnavailable, OverLimit, UnreadableVerdict
from assay.v1 import assay_pb2, event_pb2, score_pb2
from tests.assay.scripted_gateway import JPEG, MP4, Call, ScriptedGateway, judged, reasoning, result, started


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with ScriptedGateway() as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: ScriptedGateway) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(gateway.address, timeout_seconds=10) as client:
        yield client


def refused_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_picture_is_judged(client: AsyncClient) -> None:
    judgement = await client.score(JPEG)
    assert (judgement.score.value, judgement.score.standard_deviation) == (6.53, 0.41)


async def test_all_ten_attributes_come_back_with_probabilities(client: AsyncClient) -> None:
    judgement = await client.score(JPEG)
    graded = [each for each in judgement.attributes.values() if each.probabilities]
    assert (len(judgement.attributes), len(graded)) == (10, 9)


async def test_windows_of_a_video_say_their_time_in_seconds(client: AsyncClient) -> None:
    judgement = await client.score(MP4)
    assert [(each.start_seconds, each.end_seconds) for each in judgement.windows] == [(0.0, 3.5), (4.0, 7.5)]


async def test_the_duration_of_a_picture_is_none(client: AsyncClient) -> None:
    assert (await client.score(JPEG)).media.duration_seconds is None


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file"])
async def test_a_file_may_come_in_any_shape(
    kind: str, client: AsyncClient, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(JPEG)
    shapes = {"path": path, "text": str(path), "bytes": JPEG, "file": io.BytesIO(JPEG)}
    await client.score(shapes[kind])  # type: ignore[arg-type]
    assert b"".join(gateway.calls[0].chunks) == JPEG


async def test_a_large_file_travels_in_chunks_of_256_kib(client: AsyncClient, gateway: ScriptedGateway) -> None:
    await client.score(MP4 + bytes(3 * CHUNK_BYTES))
    assert [len(chunk) for chunk in gateway.calls[0].chunks] == [CHUNK_BYTES] * 3 + [len(MP4)]


async def test_form_and_attributes_reach_the_server(client: AsyncClient, gateway: ScriptedGateway) -> None:
    await client.score(JPEG, form="natural", attributes=["clarity", "exposure"])
    config = gateway.calls[0].config
    assert (config.form, list(config.attributes)) == (score_pb2.ANSWER_FORM_NATURAL, ["clarity", "exposure"])


@pytest.mark.parametrize("wanted", [True, False])
async def test_distributions_are_asked_for_unless_they_are_not_wanted(
    wanted: bool, client: AsyncClient, gateway: ScriptedGateway
) -> None:
    await client.score(JPEG, distributions=wanted)
    assert gateway.calls[0].config.omit_digit_distributions is not wanted


async def test_events_come_in_the_order_in_which_they_were_sent(client: AsyncClient) -> None:
    assert [event.sequence async for event in client.events(JPEG)] == [1, 2, 3, 4, 5]


async def test_events_that_came_in_one_message_are_reported_one_by_one() -> None:
    class Several(ScriptedGateway):
        def StreamImage(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            context.send_initial_metadata(())
            yield assay_pb2.StreamImageResponse(events=self._events("StreamImage", request_iterator, context))

    with Several() as gateway:
        async with AsyncClient(gateway.address) as client:
            reported = [event.sequence async for event in client.events(JPEG)]
            assert (await client.score(JPEG)).score.value
    assert reported == [*range(1, len(reported) + 1)]
    assert len(reported) > 1


async def test_events_arrive_while_the_upload_still_runs() -> None:
    """The reader gives out its second half only after an event has come."""
    has_event = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow(io.RawIOBase):
        reads = 0

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads == 2:
                asyncio.run_coroutine_threadsafe(has_event.wait(), loop).result(5)
            return MP4 if self.reads <= 2 else b""

    class Eager(ScriptedGateway):
        def _events(self, method: str, requests: Any, context: Any) -> Iterator[event_pb2.ScoreEvent]:
            yield started(True)
            yield from super()._events(method, requests, context)

    with Eager() as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            async for _ in client.events(Slow()):  # type: ignore[arg-type]
                has_event.set()
    assert len(gateway.calls[0].chunks) == 2


HEADS = {
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\r",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00",
    "webp": b"RIFF\x24\x00\x00\x00WEBP",
    "bmp": b"BM\x9a\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "tiff_little_endian": b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00",
    "tiff_big_endian": b"MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00",
    "avif": b"\x00\x00\x00\x1cftypavif",
    "heic": b"\x00\x00\x00\x1cftypheic",
}
NO_PICTURES = {
    "mp4": b"\x00\x00\x00\x18ftypisom",
    "quicktime": b"\x00\x00\x00\x14ftypqt  ",
    "avi": b"RIFF\x24\x00\x00\x00AVI ",
    "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81",
    "text_renamed": b"this is just text",
    "one_byte": b"\xff",
}


@pytest.mark.parametrize("name", HEADS)
def test_a_picture_is_known_by_its_first_bytes(name: str) -> None:
    assert is_picture(HEADS[name])


@pytest.mark.parametrize("name", NO_PICTURES)
def test_everything_else_is_sent_as_a_video(name: str) -> None:
    assert not is_picture(NO_PICTURES[name])


async def test_a_name_does_not_make_a_picture(client: AsyncClient, gateway: ScriptedGateway, tmp_path: Path) -> None:
    (tmp_path / "film.jpg").write_bytes(MP4)
    await client.score(tmp_path / "film.jpg")
    assert gateway.calls[0].method == "StreamVideo"


async def test_an_unknown_attribute_is_refused_before_anything_is_sent(
    client: AsyncClient, gateway: ScriptedGateway
) -> None:
    with pytest.raises(InvalidRequest, match=r"unknown attribute 'sharpness'; known are composition, .*saturation"):
        await client.score(JPEG, attributes=["sharpness"])
    assert gateway.calls == []


async def test_an_unknown_form_is_refused(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequest, match="unknown form 'poem'; known are direct, regular, natural"):
        await client.score(JPEG, form="poem")


async def test_an_empty_file_is_bad_media(client: AsyncClient) -> None:
    with pytest.raises(BadMedia, match="the file is empty"):
        await client.score(b"")


async def test_a_missing_file_is_an_os_error(client: AsyncClient, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await client.score(tmp_path / "nowhere.jpg")


async def test_a_file_that_breaks_while_it_is_read_says_so(client: AsyncClient) -> None:
    class Failing(io.RawIOBase):
        reads = 0

        def read(self, size: int = -1) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise OSError(5, "Input/output error")
            return MP4

    with pytest.raises(OSError, match="Input/output error"):
        await client.score(Failing())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        BadMedia("no video stream"),
        OverLimit("too long"),
        UnreadableVerdict("no score in the answer"),
        ModelUnavailable("the model stopped"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_of_the_server_keeps_its_type_and_sentence(error: AssayError) -> None:
    with ScriptedGateway(lambda call: [started(), error]) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            with pytest.raises(type(error), match=error.message):
                await client.score(JPEG)


async def test_one_bad_file_takes_nothing_from_the_others(client: AsyncClient) -> None:
    files = [JPEG, b"broken", MP4, b"broken", JPEG]
    outcomes = await asyncio.gather(*(client.score(each) for each in files), return_exceptions=True)
    assert [isinstance(outcome, BadMedia) for outcome in outcomes] == [False, True, False, True, False]


async def test_no_server_at_the_address_names_the_command_that_starts_one() -> None:
    async with AsyncClient(refused_port()) as client:
        with pytest.raises(NoServer, match="start one with `assay up`"):
            await client.score(JPEG)


def silent(call: Call) -> Iterator[event_pb2.ScoreEvent]:
    yield started()
    call.has_ended.wait(5)


async def test_a_server_that_goes_away_in_the_middle_is_no_server() -> None:
    with ScriptedGateway(silent) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            events = client.events(JPEG)
            await anext(events)
            await asyncio.to_thread(gateway.stop)
            with pytest.raises(NoServer, match="went away"):
                await anext(events)


async def test_a_server_that_falls_silent_counts_as_gone() -> None:
    with ScriptedGateway(silent) as gateway:
        async with AsyncClient(gateway.address, quiet_seconds=0.2) as client:
            with pytest.raises(NoServer, match="went away"):
                await client.score(JPEG)


async def test_a_call_over_its_time_limit_says_the_limit() -> None:
    def slow(call: Call) -> Iterator[event_pb2.ScoreEvent]:
        call.has_ended.wait(5)
        yield started()

    with ScriptedGateway(slow) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=0.3) as client:
            with pytest.raises(TookTooLong, match=r"no score within 0\.3 s"):
                await client.score(JPEG)


async def test_a_stream_that_ends_without_a_result_is_an_error() -> None:
    with ScriptedGateway(lambda call: [started()]) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            with pytest.raises(AssayError, match="without a final message"):
                await client.score(JPEG)


async def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BUSY_WAITS_SECONDS", (0.01, 0.01))
    answers = iter([[Busy("every place is taken")], [Busy("every place is taken")], None])
    with ScriptedGateway(lambda call: next(answers) or judged(call)) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            assert (await client.score(JPEG)).score.value == 6.53


async def test_a_busy_server_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "BUSY_WAITS_SECONDS", (0.01,))
    with ScriptedGateway(lambda call: [Busy("every place is taken")]) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            with pytest.raises(Busy):
                await client.score(JPEG)
    assert len(gateway.calls) == 2


async def test_a_call_that_has_reported_something_is_not_made_again() -> None:
    with ScriptedGateway(lambda call: [started(), reasoning("Sharp."), Busy("full")]) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            with pytest.raises(Busy):
                await client.score(JPEG)
    assert len(gateway.calls) == 1


async def test_closing_the_events_cancels_the_call() -> None:
    def endless(call: Call) -> Iterator[event_pb2.ScoreEvent]:
        while not call.has_ended.wait(0.02):
            yield reasoning("and ")

    with ScriptedGateway(endless) as gateway:
        async with AsyncClient(gateway.address, timeout_seconds=10) as client:
            events = client.events(JPEG)
            await anext(events)
            await events.aclose()
        assert await asyncio.to_thread(gateway.calls[0].has_ended.wait, 5)


@pytest.fixture
def unhurried() -> Iterator[tuple[ScriptedGateway, list[bool]]]:
    """A gateway that has something to do between its result and its status, and whether each call let it."""
    finished: list[bool] = []

    def script(call: Call) -> Iterator[event_pb2.ScoreEvent | AssayError]:
        try:
            yield from judged(call)
            time.sleep(0.05)
        finally:
            # A client that cancels has the call end here first.
            finished.append(not call.has_ended.is_set())

    with ScriptedGateway(script) as gateway:
        yield gateway, finished


async def test_a_call_is_read_to_its_end_and_not_cancelled_after_the_result(unhurried: Any) -> None:
    gateway, finished = unhurried
    async with AsyncClient(gateway.address) as client:
        await client.score(JPEG)
        await client.score("https://media.test/photo.jpg")
        [event async for event in client.events(MP4)]
    assert finished == [True] * 3


def test_the_sync_client_reads_to_the_end_too(unhurried: Any) -> None:
    gateway, finished = unhurried
    with Client(gateway.address) as client:
        client.score(JPEG)
        next(event for event in client.events(MP4) if event.HasField("result"))
    assert finished == [True] * 2


async def test_a_result_is_good_whatever_the_status_behind_it() -> None:
    def script(call: Call) -> Iterator[event_pb2.ScoreEvent | AssayError]:
        yield from judged(call)
        yield ModelUnavailable("gone")

    with ScriptedGateway(script) as gateway:
        async with AsyncClient(gateway.address) as client:
            assert (await client.score(JPEG)).score.value == 6.53


def test_the_sync_client_scores(gateway: ScriptedGateway) -> None:
    with Client(gateway.address, timeout_seconds=10) as client:
        assert client.score(JPEG).score.value == 6.53


def test_the_sync_client_streams(gateway: ScriptedGateway) -> None:
    with Client(gateway.address, timeout_seconds=10) as client:
        kinds = [event.WhichOneof("event") for event in client.events(JPEG)]
    assert kinds == ["started", "reasoning", "reasoning", "window", "result"]


def test_the_sync_client_raises_as_the_other_does(gateway: ScriptedGateway) -> None:
    with Client(gateway.address, timeout_seconds=10) as client, pytest.raises(BadMedia):
        client.score(b"broken")


def test_the_direct_form_has_no_reasoned_score() -> None:
    answer = result()
    answer.windows[0].ClearField("reasoned_score")
    with (
        ScriptedGateway(lambda call: [event_pb2.ScoreEvent(result=answer)]) as gateway,
        Client(gateway.address) as client,
    ):
        assert client.score(JPEG, form="direct").windows[0].reasoned_score is None


def test_the_client_loads_neither_torch_nor_a_decoder_nor_triton() -> None:
    heavy = "('torch', 'av', 'tritonclient')"
    program = f"import sys, assay.client, assay.cli.score; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parents[2]
    reported = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert reported.stdout.strip() == "[]"
