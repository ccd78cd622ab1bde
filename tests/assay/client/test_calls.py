"""AsyncClient.score_many: every file has an outcome, several at a time."""

import threading
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from assay.client import AsyncClient, Judgement
from assay.errors import AssayError, BadMedia
from assay.v1 import event_pb2, score_pb2
from tests.assay.scripted_gateway import JPEG, Call, ScriptedGateway, result, started


def by_content(call: Call) -> Iterable[event_pb2.ScoreEvent | AssayError]:
    """The bytes after the magic number are the score, or no number."""
    content = b"".join(call.chunks)[len(JPEG) :].decode()
    if not content:
        return [BadMedia("no picture")]
    return [started(), event_pb2.ScoreEvent(result=result(value=float(content)))]


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    with ScriptedGateway(by_content) as gateway:
        async with AsyncClient(gateway.address) as client:
            yield client


async def test_outcomes_are_in_the_order_of_the_files(client: AsyncClient, tmp_path: Path) -> None:
    sources = [JPEG + b"2.5", JPEG, tmp_path / "nowhere.jpg", JPEG + b"7.0"]
    reported = [each.score.value if isinstance(each, Judgement) else each for each in await client.score_many(sources)]
    assert [type(each) for each in reported] == [float, BadMedia, FileNotFoundError, float]
    assert (reported[0], reported[3]) == (pytest.approx(2.5), pytest.approx(7.0))


async def test_each_outcome_is_reported_with_its_place(client: AsyncClient) -> None:
    reported: dict[int, bool] = {}
    await client.score_many(
        [JPEG, JPEG + b"5"], on_outcome=lambda place, outcome: reported.update({place: isinstance(outcome, Judgement)})
    )
    assert reported == {0: False, 1: True}


async def test_no_more_files_are_made_than_are_asked_about_at_once(client: AsyncClient) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def made() -> bytes:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        return JPEG + b"5"

    def gone(place: int, outcome: object) -> None:
        nonlocal now
        with lock:
            now -= 1

    await client.score_many([made] * 12, concurrency=2, on_outcome=gone)
    # A file whose outcome is about to be reported has left its place already.
    assert 2 <= most <= 4


async def test_what_is_raised_about_an_outcome_ends_the_rest(client: AsyncClient) -> None:
    def refuse(place: int, outcome: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await client.score_many([JPEG + b"5"] * 4, concurrency=1, on_outcome=refuse)


async def test_every_file_is_asked_about_alike() -> None:
    with ScriptedGateway(by_content) as gateway:
        async with AsyncClient(gateway.address) as client:
            await client.score_many([JPEG + b"5"] * 2, form="direct", tenant="acme", distributions=False)
    asked = [(call.config.form, call.config.tenant, call.config.omit_digit_distributions) for call in gateway.calls]
    assert asked == [(score_pb2.ANSWER_FORM_DIRECT, "acme", True)] * 2
