"""How a video is inspected, over real sockets: sampling, windows, pooling, repeats, budgets."""

import asyncio
import io
import itertools
import struct
import time

import numpy as np
import pytest

from assay.client import AsyncClient
from assay.errors import InvalidRequest, OverLimit
from assay.v1 import assay_pb2, event_pb2, score_pb2
from assay.v1.attribute_pb2 import ATTRIBUTE_NAME_CLARITY
from assay.video import VideoOptions
from assay.wire import video_options_to_wire
from tests.checkpoints import small_checkpoint
from tests.gateway.serving import events, gateway
from tests.media.film import film
from tests.scripted_generator import ScriptedGenerator

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOVING = [40 + 7 * (i % 25) for i in range(240)]
FILM = film(MOVING, frames_per_second=10, key_frame_every=20)
"""24 s in which every frame differs from the one before."""
STILL = film([100] * 240, frames_per_second=10, key_frame_every=20)
"""24 s of one picture."""
DIRECT = score_pb2.ANSWER_FORM_DIRECT


class Counting(ScriptedGenerator):
    """Every clip gets a better number than the one before, and then a bad one."""

    NUMBERS = ("3.00", "5.00", "7.00", "1.00", "9.00", "4.00")

    def __init__(self):
        super().__init__()
        self._numbers = itertools.cycle(self.NUMBERS)

    async def generate(self, clip, conversation, form):
        self.direct = next(self._numbers)
        async for event in super().generate(clip, conversation, form):
            yield event


async def result(pool, data=FILM, model=None, *, settings=None, **options):
    events = await reported(pool, data, model, settings=settings, **options)
    assert events[-1].HasField("result")
    return events[-1].result


async def reported(pool, data=FILM, model=None, *, settings=None, form=DIRECT, **options):
    scripted = model or ScriptedGenerator()
    video = video_options_to_wire(VideoOptions(**options)) if options else None
    # One window at a time, so that the script's numbers come in the order of the windows.
    async with gateway(pool, scripted, scripted, **{"windows_at_once": 1, **(settings or {})}) as caller:
        return await caller.bytes_of_video(data, form=form, video=video)


def starts(judged):
    return [window.start_offset.ToTimedelta().total_seconds() for window in judged.windows]


async def test_without_a_word_a_video_is_sampled_as_the_model_wants(pool):
    report = (await result(pool)).video
    assert (report.window_length.seconds, report.window_hop.seconds, report.frames_per_second) == (4, 4, 2.0)


async def test_windows_overlap_if_the_hop_is_shorter(pool):
    assert starts(await result(pool, window_seconds=8.0, hop_seconds=4.0))[:4] == [0, 4, 8, 12]


async def test_windows_leave_gaps_if_the_hop_is_longer(pool):
    assert starts(await result(pool, window_seconds=4.0, hop_seconds=10.0)) == [0, 10, 20]


async def test_an_operator_sets_what_requests_leave_open(pool):
    judged = await result(pool, settings={"video": {"window_seconds": 6.0, "hop_seconds": 3.0, "pooling": "worst"}})
    assert (starts(judged)[:3], judged.pooling_rule.method) == ([0, 3, 6], event_pb2.POOLING_WORST)


async def test_a_long_window_is_sampled_no_denser_than_the_model_can_be_shown(pool):
    judged = await result(pool, window_seconds=12.0)
    assert judged.video.frames_per_second == pytest.approx(8 / 12)
    assert max(window.frame_count for window in judged.windows) <= 8


async def test_worst_and_best_are_reported_with_their_times(pool):
    judged = await result(pool, model=Counting())
    assert (judged.worst.score.value, judged.worst.start_offset.seconds) == (pytest.approx(1.0), 12)
    assert (judged.best.score.value, judged.best.start_offset.seconds) == (pytest.approx(9.0), 16)


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"pooling": "mean"}, (3 + 5 + 7 + 1 + 9 + 4) / 6),
        ({"pooling": "worst", "worst_count": 2}, (1 + 3) / 2),
        ({"pooling": "percentile", "percentile": 50.0}, 4.0),
        ({"pooling": "percentile", "percentile": 1.0}, 1.0),
    ],
)
async def test_the_request_says_how_scores_are_pooled(pool, options, value):
    judged = await result(pool, model=Counting(), **options)
    assert judged.score.value == pytest.approx(value)


async def test_the_result_says_how_it_was_pooled(pool):
    judged = await result(pool, pooling="percentile", percentile=25.0)
    assert judged.pooling_rule.method == event_pb2.POOLING_PERCENTILE
    assert judged.pooling_rule.percentile == 25.0


async def test_the_grade_of_the_whole_is_read_as_the_checkpoint_reads_those_of_windows(pool):
    """Each window says "very clear" with a probability of .75, and a fifth is reached at the grade before it."""
    strict = small_checkpoint().model_copy(update={"grade_reading": "median", "grade_quantile": {"clarity": 0.2}})
    model = ScriptedGenerator(choices={"clarity": " very clear"})
    async with gateway(pool, model, model, checkpoint=strict) as caller:
        judged = (await caller.bytes_of_video(FILM, form=score_pb2.ANSWER_FORM_REGULAR))[-1].result
    assert {each.name: each.grade for each in judged.attributes}[ATTRIBUTE_NAME_CLARITY] == "moderately clear"


async def test_a_uniform_sample_is_cut_into_equal_runs(pool):
    judged = await result(pool, sampling="uniform", frame_count=12, keep_repeats=True)
    assert [window.frame_count for window in judged.windows] == [6, 6]


async def test_with_key_frames_alone_a_twentieth_is_decoded(pool):
    judged = await result(pool, key_frames="only")
    assert judged.media.decoded_frames == 12
    assert judged.video.skipped_packets > 220


async def test_a_still_video_is_asked_about_once(pool):
    model = ScriptedGenerator()
    judged = await result(pool, STILL, model)
    assert len(model.clips) == 1
    assert [len(clip.frames) for clip in model.clips] == [1]
    assert [window.is_repeat for window in judged.windows] == [False] + [True] * 5


async def test_a_still_video_is_judged_as_a_photo(pool):
    model = ScriptedGenerator()
    judged = await result(pool, STILL, model)
    assert [clip.is_video for clip in model.clips] == [False]
    assert "where the video shows one picture" in judged.media.warnings[0]


async def test_of_a_slide_show_each_picture_is_judged_as_a_photo(pool):
    slides = film([level for level in (60, 100, 140) for _ in range(40)], frames_per_second=10, key_frame_every=20)
    model = ScriptedGenerator()
    await result(pool, slides, model)
    assert [(clip.is_video, round(float(clip.stacked().mean()), -1)) for clip in model.clips] == [
        (False, 60),
        (False, 100),
        (False, 140),
    ]


async def test_what_moves_after_a_while_is_judged_as_a_video(pool):
    model = ScriptedGenerator()
    judged = await result(pool, film([100] * 20 + MOVING[:20], frames_per_second=10), model)
    assert ([clip.is_video for clip in model.clips], list(judged.media.warnings)) == ([True], [])


async def test_repeated_frames_are_counted(pool):
    judged = await result(pool, STILL)
    assert judged.video.repeated_frames == 47
    assert [(window.frame_count, window.repeated_frames) for window in judged.windows] == [(1, 7)] * 6


async def test_a_repeat_says_what_the_window_before_said(pool):
    judged = await result(pool, STILL, form=score_pb2.ANSWER_FORM_REGULAR)
    assert judged.windows[3].score == judged.windows[0].score
    assert judged.windows[3].attributes == judged.windows[0].attributes


async def test_repeats_are_held_if_the_request_says_so(pool):
    model = ScriptedGenerator()
    judged = await result(pool, STILL, model, keep_repeats=True)
    assert (len(model.clips), judged.video.repeated_frames, model.clips[0].is_video) == (6, 0, True)


async def test_a_moving_video_repeats_nothing(pool):
    assert (await result(pool)).video.repeated_frames == 0


async def test_a_picture_ignores_how_to_look_at_videos(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        video = video_options_to_wire(VideoOptions(sampling="uniform", pooling="worst"))
        events = await caller.image("jpeg.jpg", video=video)
    assert not events[-1].result.HasField("video")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling": "uniform", "window_seconds": 4.0}, "window_seconds is for sampling fps or scene"),
        ({"frame_count": 8}, "frame_count is for sampling uniform"),
        ({"worst_count": 2}, "worst_count is for pooling worst"),
        ({"sampling": "scene", "key_frames": "only"}, "every frame is decoded"),
    ],
)
async def test_options_that_contradict_each_other_are_refused(pool, options, words):
    with pytest.raises(InvalidRequest, match=words):
        await result(pool, **options)


async def test_a_window_of_no_length_is_refused_by_the_contract(pool):
    model = ScriptedGenerator()
    video = assay_pb2.VideoOptions()
    video.windows.length.nanos = 1
    async with gateway(pool, model, model) as caller:
        with pytest.raises(InvalidRequest, match="length"):
            await caller.bytes_of_video(FILM, video=video)


def budget_of(name, limit):
    return {"video" if name == "max_windows" else "limits": {name: limit}}


BUDGETS = [
    ("max_duration_seconds", 10.0, 10.0),
    ("max_frames", 150, 15.0),
    ("max_windows", 3, 15.0),
    ("max_video_bytes", len(FILM) * 2 // 3, 24.0),
]


@pytest.mark.parametrize(("budget", "limit", "reached"), BUDGETS)
async def test_a_budget_that_is_spent_leaves_what_was_scored(pool, budget, limit, reached):
    judged = await result(pool, settings=budget_of(budget, limit))
    assert (judged.partial.budget, len(judged.windows) >= 2) == (budget, True)
    assert 8.0 <= judged.partial.reached_offset.ToTimedelta().total_seconds() <= reached


@pytest.mark.parametrize(("budget", "limit"), [("max_windows", 2), ("max_frames", 150), ("max_video_bytes", len(FILM))])
async def test_a_client_that_is_still_sending_gets_what_was_scored(pool, budget, limit):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, **budget_of(budget, limit)) as caller, AsyncClient(caller.address) as client:
        judgement = await asyncio.wait_for(client.score(_Endless(FILM), form="direct"), 30)
    assert judgement.partial.budget == budget


class _Endless(io.BytesIO):
    """A video, and after it more than anybody wants, slowly."""

    def read(self, size=-1):
        data = super().read(size)
        if not data:
            time.sleep(0.01)
        return data or struct.pack(">I4s", size, b"free").ljust(size, b"\0")


async def test_a_client_that_pauses_gets_what_was_scored(pool):
    async def paused():
        yield assay_pb2.StreamVideoRequest(config=assay_pb2.ScoreConfig(form=DIRECT))
        yield assay_pb2.StreamVideoRequest(chunk=FILM)
        await asyncio.sleep(60)

    model = ScriptedGenerator()
    async with gateway(pool, model, model, video={"max_windows": 2}) as caller:
        happened = await asyncio.wait_for(events(caller.stub.StreamVideo, paused()), 20)
    assert happened[-1].result.partial.budget == "max_windows"


async def test_a_whole_video_is_not_marked_as_partial(pool):
    assert not (await result(pool)).HasField("partial")


async def test_a_partial_result_tells_how_much_was_decoded(pool):
    media = (await result(pool, settings={"limits": {"max_frames": 150}})).media
    assert (media.decoded_frames, media.duration.seconds) == (151, 14)


async def test_a_budget_that_is_spent_before_the_first_window_is_an_error(pool):
    with pytest.raises(OverLimit, match="more than 20 frames"):
        await result(pool, settings={"limits": {"max_frames": 20}})


async def test_a_limit_that_is_no_budget_is_an_error_all_the_same(pool):
    with pytest.raises(OverLimit, match="million pixels"):
        await result(pool, settings={"limits": {"max_video_pixels": 1000}})


LONG = film([40 + 7 * (i % 25) for i in range(700)], frames_per_second=10, key_frame_every=20, size=(64, 64))


async def test_the_result_of_a_long_video_leaves_details_to_the_events(pool):
    events = await reported(pool, LONG, form=score_pb2.ANSWER_FORM_REGULAR, window_seconds=1.0)
    judged, windows = events[-1].result, [event.window for event in events if event.HasField("window")]
    assert len(judged.windows) == len(windows) == 70
    assert (len(judged.windows[0].attributes), len(windows[0].attributes)) == (0, 3)
    assert judged.windows[69].score.value == windows[69].score.value
    assert len(judged.attributes) == 3


def place(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return pixels.repeat(16, 0).repeat(16, 1)


CUTS = film(
    [np.roll(place(scene), i, axis=1) for scene in range(3) for i in range(70)],
    frames_per_second=10,
    key_frame_every=40,
)
"""Three scenes of 7 s."""


async def test_no_clip_shows_two_scenes(pool):
    judged = await result(pool, CUTS, sampling="scene")
    assert (judged.video.scene_cuts, starts(judged)) == (2, [0, 4, 7, 11, 14, 18])


async def test_of_a_scene_as_many_frames_are_sampled_as_of_any_video(pool):
    judged = await result(pool, CUTS, sampling="scene", keep_repeats=True)
    assert judged.media.sampled_frames == sum(window.frame_count for window in judged.windows) == 42


async def test_without_scenes_a_clip_may_show_two(pool):
    judged = await result(pool, CUTS)
    assert (judged.video.scene_cuts, starts(judged)) == (0, [0, 4, 8, 12, 16, 20])
