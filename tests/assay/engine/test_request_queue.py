"""What waits goes to the worker that knows its frames, else to the one with the least to do."""

from collections.abc import Callable

from assay.decoding.event_stream import EngineRequest
from assay.engine.request_queue import RequestQueue
from assay.form import Form, Literal
from assay.frame import Clip
from assay.generator import Conversation


def _request(name: str, clip: Clip, priority: int = 0) -> EngineRequest:
    return EngineRequest(name, clip, Conversation("Rate it."), Form((Literal("."),)), lambda _: None, priority)


def _names(taken: object) -> list[str]:
    return [request.request_id for request in taken]  # type: ignore[attr-defined]


def test_what_is_new_is_shared_out_evenly(make_clip: Callable[..., Clip]) -> None:
    queue = RequestQueue(2, 8)
    for seed in range(4):
        queue.put(_request(f"{seed}", make_clip(seed=seed)))
    taken = [_names(queue.take(worker)) for worker in (0, 1, 0, 1)]
    assert (taken, queue.in_flight) == ([["0"], ["1"], ["2"], ["3"]], [2, 2])


def test_what_comes_one_by_one_finds_the_same_worker(make_clip: Callable[..., Clip]) -> None:
    queue, taken = RequestQueue(2, 8), list[list[str]]()
    for seed in range(3):
        queue.put(_request(f"{seed}", make_clip(seed=seed)))
        taken += [_names(queue.take(worker)) for worker in (1, 0)]
        queue.end(f"{seed}")
    assert taken == [[], ["0"], [], ["1"], [], ["2"]]


def test_frames_that_a_worker_knows_wait_for_it(make_clip: Callable[..., Clip]) -> None:
    queue, clip = RequestQueue(2, 8), make_clip(seed=1)
    queue.put(_request("first", clip))
    queue.take(0)
    queue.put(_request("second", clip))
    assert (queue.has_for(1), _names(queue.take(0))) == (False, ["second"])


def test_a_window_that_overlaps_goes_where_the_last_one_went(make_clip: Callable[..., Clip]) -> None:
    queue, frames = RequestQueue(2, 8), make_clip(6, is_video=True).frames
    queue.put(_request("first", Clip(frames[:4], is_video=True)))
    queue.take(0)
    queue.put(_request("next", Clip(frames[2:], is_video=True)))
    assert (_names(queue.take(1)), _names(queue.take(0))) == ([], ["next"])


def test_a_beginning_in_common_ties_no_clip_to_a_worker(make_clip: Callable[..., Clip]) -> None:
    queue, black = RequestQueue(2, 8), make_clip().frames[0]
    clips = [Clip((black, *make_clip(4, is_video=True, seed=seed).frames[1:]), is_video=True) for seed in (1, 2)]
    for name, clip in zip("ab", clips, strict=True):
        queue.put(_request(name, clip))
    assert [_names(queue.take(worker)) for worker in (0, 1)] == [["a"], ["b"]]


def test_frames_whose_worker_is_full_go_to_another(make_clip: Callable[..., Clip]) -> None:
    queue, clip = RequestQueue(2, 2), make_clip(seed=1)
    queue.put(_request("first", clip))
    queue.take(0)
    queue.put(_request("second", clip))
    assert _names(queue.take(1)) == ["second"]


def test_the_most_urgent_comes_first_and_of_equals_the_oldest(make_clip: Callable[..., Clip]) -> None:
    queue = RequestQueue(1, 2)
    for name, priority in (("a", 0), ("b", 1), ("c", 1), ("d", 0)):
        queue.put(_request(name, make_clip(seed=ord(name)), priority))
    assert (_names(queue.take(0)), len(queue)) == (["b", "c"], 2)


def test_no_more_are_in_flight_than_allowed_however_workers_divide_them(make_clip: Callable[..., Clip]) -> None:
    queue = RequestQueue(2, 5)
    for seed in range(9):
        queue.put(_request(f"{seed}", make_clip(seed=seed)))
    for worker in (0, 1) * 5:
        queue.take(worker)
    assert sum(queue.in_flight) == 5


def test_what_has_ended_makes_room(make_clip: Callable[..., Clip]) -> None:
    queue = RequestQueue(1, 1)
    for seed in range(2):
        queue.put(_request(f"{seed}", make_clip(seed=seed)))
    queue.take(0)
    was_full = not queue.has_for(0)
    queue.end("0")
    queue.end("never heard of")
    assert (was_full, _names(queue.take(0))) == (True, ["1"])


def test_what_is_no_longer_wanted_leaves_the_queue(make_clip: Callable[..., Clip]) -> None:
    queue = RequestQueue(1, 1)
    for seed in range(3):
        queue.put(_request(f"{seed}", make_clip(seed=seed)))
    assert (_names(queue.drop(lambda request: request.request_id == "1")), len(queue)) == (["1"], 2)
