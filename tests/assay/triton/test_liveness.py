"""assay/triton/liveness.py: streams of a server that is stopped fail, and no others."""

import asyncio
import math

import pytest

from assay.errors import AssayError, ModelUnavailable
from assay.triton import liveness
from assay.triton.liveness import Liveness


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(liveness, "_SILENCE_SECONDS", 0.01)
    monkeypatch.setattr(liveness, "_PAUSE_SECONDS", 0.01)


class SilentStream:
    """One that was begun and has said nothing since."""

    def __init__(self) -> None:
        self.begun_at_seconds = asyncio.get_running_loop().time()
        self.heard_at_seconds = -math.inf
        self.failed: asyncio.Future[AssayError] = asyncio.get_running_loop().create_future()

    def fail(self, error: AssayError) -> None:
        self.heard_at_seconds = math.inf
        if not self.failed.done():
            self.failed.set_result(error)


async def test_a_stream_of_a_server_that_does_not_answer_fails():
    async def is_live(timeout_seconds: float) -> bool:
        return False

    stream = SilentStream()
    watching = Liveness(is_live, [stream])
    watching.watch()
    assert isinstance(await stream.failed, ModelUnavailable)
    await watching.close()


async def test_a_stream_of_a_server_that_answers_goes_on():
    asked = asyncio.Event()

    async def is_live(timeout_seconds: float) -> bool:
        if questions:
            asked.set()
        questions.append(timeout_seconds)
        return True

    questions: list[float] = []
    stream = SilentStream()
    watching = Liveness(is_live, [stream])
    watching.watch()
    await asked.wait()
    await watching.close()
    assert not stream.failed.done()


async def test_nobody_is_asked_without_a_stream():
    async def is_live(timeout_seconds: float) -> bool:
        raise AssertionError

    watching = Liveness(is_live, [])
    watching.watch()
    await watching._watching
    await watching.close()
