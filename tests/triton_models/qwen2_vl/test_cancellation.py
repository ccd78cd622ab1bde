"""A cancel finds its request in whichever instance it is; real sockets, instances in one process."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "triton_models/qwen2_vl/1"))
from cancellation import Cancellation


@pytest.fixture
def cancelled() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def instances(cancelled: list[tuple[str, str]], tmp_path: Path) -> Iterator[list[Cancellation]]:
    names, group = ("0_0", "0_1", "0_2"), str(tmp_path)[-40:]
    made = [Cancellation(name, lambda id, name=name: cancelled.append((name, id)), group) for name in names]
    yield made
    for each in made:
        each.close()


def until(cancelled: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    deadline = time.monotonic() + 10
    while len(cancelled) < count and time.monotonic() < deadline:
        time.sleep(0.001)
    return cancelled


def test_an_instance_that_does_not_have_the_request_tells_the_one_that_does(instances, cancelled):
    with instances[2].submitting("a"):
        pass
    instances[0].ask("a")
    assert until(cancelled, 1) == [("0_2", "a")]


def test_a_cancel_that_is_quicker_than_its_request_is_remembered(instances, cancelled):
    instances[0].ask("a")
    time.sleep(0.05)
    with instances[1].submitting("a"):
        pass
    assert until(cancelled, 1) == [("0_1", "a")]


def test_a_cancel_while_the_request_is_handed_over_reaches_the_engine_afterwards(instances, cancelled):
    with instances[1].submitting("a"):
        instances[1].ask("a")
        cancelled.clear()
    assert cancelled == [("0_1", "a")]


def test_what_has_ended_or_was_refused_is_not_cancelled(instances, cancelled):
    with instances[0].submitting("a"):
        instances[0].end("a")
    with pytest.raises(ValueError, match="no room"), instances[0].submitting("b"):
        raise ValueError("no room")
    for each in ("a", "b"):
        instances[0].ask(each)
    assert cancelled == []


def test_a_cancel_goes_on_when_an_instance_has_ended(instances, cancelled):
    instances[1].close()
    with instances[2].submitting("a"):
        pass
    instances[0].ask("a")
    assert until(cancelled, 1) == [("0_2", "a")]
