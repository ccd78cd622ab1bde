"""assay/rpc/model.py"""

import logging

import pytest

from assay.errors import Busy, ModelUnavailable
from assay.generator import Finished
from assay.rpc.model import LiveModel


class Model:
    """Answers with its fingerprint, or fails."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.times_asked = 0

    async def ask(self) -> Finished:
        self.times_asked += 1
        if self.error:
            raise self.error
        return Finished("complete", "f1", 1, 1)


async def test_the_model_is_asked_once_for_many_descriptions():
    model = Model()
    live = LiveModel(model.ask)
    assert [(await live.last_answer()).checkpoint_fingerprint for _ in range(3)] == ["f1"] * 3
    assert model.times_asked == 1


async def test_a_busy_model_that_answered_before_is_alive():
    model = Model()
    live = LiveModel(model.ask)
    await live.check()
    model.error = Busy("full")
    await live.check()
    assert (await live.last_answer()).checkpoint_fingerprint == "f1"


async def test_a_model_that_stops_answering_is_not_alive():
    model = Model()
    live = LiveModel(model.ask)
    await live.check()
    model.error = ModelUnavailable("gone")
    with pytest.raises(ModelUnavailable):
        await live.check()


async def test_another_checkpoint_than_the_wanted_one_is_not_served():
    live = LiveModel(Model().ask, wanted_fingerprint="f2")
    with pytest.raises(ModelUnavailable, match="has checkpoint f1, this service wants f2"):
        await live.check()


@pytest.mark.parametrize("wanted", ["", "f1", "f1-bfloat16"])
async def test_a_checkpoint_is_wanted_in_any_number_format_or_in_one(wanted: str):
    async def ask() -> Finished:
        return Finished("complete", "f1-bfloat16", 1, 1)

    await LiveModel(ask, wanted).check()


@pytest.mark.parametrize("wanted", ["f1-int8", "f2", "f1-bf"])
async def test_another_number_format_than_the_wanted_one_is_not_served(wanted: str):
    async def ask() -> Finished:
        return Finished("complete", "f1-bfloat16", 1, 1)

    with pytest.raises(ModelUnavailable, match="has checkpoint f1-bfloat16"):
        await LiveModel(ask, wanted).check()


@pytest.mark.parametrize(("served", "is_reported"), [({"f1"}, False), ({"f1", "f1-bfloat16"}, True)])
async def test_replicas_that_score_unlike_one_another_are_reported_once(caplog, served: set[str], is_reported: bool):
    async def ask_replicas() -> set[str]:
        return served

    live = LiveModel(Model().ask, ask_replicas=ask_replicas)
    with caplog.at_level(logging.WARNING):
        await live.check()
        await live.check()
    reported = [each.message for each in caplog.records if "f1 and f1-bfloat16" in each.message]
    assert len(reported) == is_reported
