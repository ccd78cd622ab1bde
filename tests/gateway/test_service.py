"""The gateway over real sockets and the real decoder: one ordered stream of events, or one error."""

import asyncio

import grpc
import numpy as np
import pytest

from assay.checkpoint import ShrinkFirst
from assay.composite import CompositeWeights
from assay.errors import (
    BadMedia,
    Busy,
    CheckpointError,
    InvalidRequest,
    ModelUnavailable,
    OverLimit,
    ServiceUnavailable,
    UnreadableVerdict,
    UploadStalled,
)
from assay.rpc.errors import DETAILS_KEY
from assay.v1 import assay_pb2, attribute_pb2, score_pb2
from assay.wire import attribute_name
from tests.checkpoints import small_checkpoint
from tests.gateway.serving import events, gateway, refusal
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

PHOTO, VIDEO = "jpeg.jpg", "mp4_faststart.mp4"

pytestmark = pytest.mark.asyncio(loop_scope="session")
CONFIG = assay_pb2.StreamImageRequest(config=assay_pb2.ScoreConfig())


def kinds(happened):
    return [event.WhichOneof("event") for event in happened]


def result_of(happened):
    assert happened[-1].HasField("result")
    return happened[-1].result


async def judged(pool, name=PHOTO, **config):
    """Events about one file with a model that works."""
    model = ScriptedGenerator(texts={"composition_reason": " calm"}, choices={"clarity": " very clear"})
    async with gateway(pool, model, model) as caller:
        return await (caller.video if name.startswith("mp4") else caller.image)(name, **config)


async def test_an_assessment_begins_with_started_and_ends_with_the_result(pool):
    happened = kinds(await judged(pool))
    assert (happened[0], happened[-1]) == ("started", "result")


async def test_events_are_numbered_from_one_without_a_gap(pool):
    happened = await judged(pool, VIDEO)
    assert [event.sequence for event in happened] == list(range(1, len(happened) + 1))


async def test_events_that_are_ready_at_one_moment_travel_in_one_message(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        parts = [CONFIG, assay_pb2.StreamImageRequest(chunk=media(PHOTO).read_bytes())]
        messages = [message async for message in caller.stub.StreamImage(iter(parts))]
    happened = [event for message in messages for event in message.events]
    assert [event.sequence for event in happened] == list(range(1, len(happened) + 1))
    assert all(message.events for message in messages)
    assert len(messages) < len(happened)


CHUNK = assay_pb2.StreamImageRequest(chunk=b"\xff\xd8\xff")


@pytest.mark.parametrize(
    "parts",
    [[], [CHUNK], [CONFIG, CONFIG], [CONFIG, CHUNK, CONFIG], [assay_pb2.StreamImageRequest()], [CONFIG]],
    ids=["nothing", "no config", "config twice", "config again", "an empty message", "no file"],
)
async def test_parts_in_no_order_end_with_a_reason(pool, parts):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            [message async for message in caller.stub.StreamImage(iter(parts))]
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert DETAILS_KEY in ended.value.trailing_metadata()


async def test_the_reasoning_streams_before_the_result_repeats_it(pool):
    happened = await judged(pool)
    reported = "".join(event.reasoning.text for event in happened if event.HasField("reasoning"))
    assert reported == result_of(happened).windows[0].reasoning


async def test_an_early_score_comes_before_the_final_one(pool):
    happened = await judged(pool)
    early = next(event.early_score.score.value for event in happened if event.HasField("early_score"))
    assert (early, result_of(happened).score.value) == (pytest.approx(3.72), pytest.approx((3.72 + 5.04) / 2))


async def test_the_result_grades_every_attribute_that_the_model_reported(pool):
    reported = [attribute_name(each) for each in result_of(await judged(pool)).attributes]
    assert reported == ["composition", "subject_and_background", "clarity"]


async def test_a_grade_comes_with_the_probability_of_every_grade(pool):
    clarity = result_of(await judged(pool)).attributes[-1]
    assert (clarity.grade, len(clarity.probabilities)) == ("very clear", 4)


async def test_only_the_attributes_that_were_asked_for_are_reported(pool):
    happened = await judged(pool, attributes=["clarity"])
    named = {event.attribute.attribute.name for event in happened if event.HasField("attribute")}
    assert named == {attribute_pb2.ATTRIBUTE_NAME_CLARITY}


async def test_the_direct_form_has_a_score_and_no_reasoning(pool):
    happened = await judged(pool, form=score_pb2.ANSWER_FORM_DIRECT)
    assert "reasoning" not in kinds(happened)
    assert result_of(happened).score.digits_as_written == "3.72"


async def test_the_direct_form_works_while_attribute_extraction_is_down(pool):
    async with gateway(pool, None, ScriptedGenerator()) as caller:
        happened = await caller.image(PHOTO, form=score_pb2.ANSWER_FORM_DIRECT)
    assert result_of(happened).score.value == pytest.approx(3.72)


def scores_in(message):
    """Every Score in a message, however deep."""
    if isinstance(message, score_pb2.Score):
        yield message
    for field, value in message.ListFields():
        if field.message_type:
            for each in value if field.is_repeated else [value]:
                yield from scores_in(each)


@pytest.mark.parametrize("name", [PHOTO, VIDEO])
async def test_the_digit_distributions_can_be_left_out_of_every_score(pool, name):
    happened = await judged(pool, name, omit_digit_distributions=True)
    scores = [score for event in happened for score in scores_in(event)]
    assert len(scores) > 3
    assert not any(score.digit_distributions for score in scores)
    assert result_of(happened).score.value == result_of(await judged(pool, name)).score.value


async def test_an_answer_in_one_message_can_leave_the_digit_distributions_out(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        asked = {"image": media(PHOTO).read_bytes(), "config": {"omit_digit_distributions": True}}
        bare = await caller.stub.ScoreImage(assay_pb2.ScoreImageRequest(**asked))
        whole = await caller.stub.ScoreImage(assay_pb2.ScoreImageRequest(image=asked["image"]))
    assert not bare.result.score.digit_distributions
    assert bare.ByteSize() < whole.ByteSize()


async def test_the_reasoning_does_not_end_in_another_number_than_the_score(pool):
    assert "score is" not in result_of(await judged(pool)).windows[0].reasoning


async def test_a_video_has_a_timeline_of_windows_in_order(pool):
    windows = result_of(await judged(pool, VIDEO)).windows
    starts = [window.start_offset.ToTimedelta().total_seconds() for window in windows]
    assert starts == sorted(starts)


async def test_every_sampled_frame_is_in_one_window(pool):
    result = result_of(await judged(pool, VIDEO))
    assert sum(window.frame_count for window in result.windows) == result.media.sampled_frames


async def test_the_media_info_measures_the_duration_on_the_frames(pool):
    media_info = result_of(await judged(pool, VIDEO)).media
    assert media_info.duration.ToTimedelta().total_seconds() == pytest.approx(4.0, abs=0.1)


async def test_a_picture_in_one_message_gets_the_same_score(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        response = await caller.stub.ScoreImage(assay_pb2.ScoreImageRequest(image=media(PHOTO).read_bytes()))
        assert response.result.score.value == result_of(await caller.image(PHOTO)).score.value


@pytest.mark.parametrize(
    "name",
    [
        "empty.bin",
        "random_bytes.jpg",
        "text_renamed.jpg",
        "jpeg_truncated.jpg",
        "mp4_truncated_moov.mp4",
        "mp4_audio_only.mp4",
        "mp4_zero_frames.mp4",
    ],
)
async def test_what_is_no_media_is_refused_as_bad_media(pool, name):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        with pytest.raises(BadMedia):
            await (caller.video if name.startswith("mp4") else caller.image)(name)


async def test_bad_media_leaves_the_request_next_to_it_alone(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        good, bad = await asyncio.gather(
            caller.image(PHOTO), caller.image("jpeg_truncated.jpg"), return_exceptions=True
        )
    assert isinstance(bad, BadMedia)
    assert result_of(good).score.value > 0


async def test_a_file_over_the_limit_is_refused_with_the_limit(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator(), limits={"max_image_bytes": 1000}) as caller:
        with pytest.raises(OverLimit, match="1000"):
            await caller.image(PHOTO)


async def test_an_unknown_attribute_is_refused_with_the_known_ones(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        with pytest.raises(InvalidRequest, match="clarity"):
            await caller.image(PHOTO, attributes=["charm"])


async def test_a_chunk_before_the_config_is_refused(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        error = await refusal(caller.stub.StreamImage, [assay_pb2.StreamImageRequest(chunk=b"x")])
    assert "config" in error.message


async def test_a_second_config_is_refused(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator()) as caller:
        assert isinstance(await refusal(caller.stub.StreamImage, [CONFIG, CONFIG]), InvalidRequest)


async def test_a_silent_upload_is_ended(pool):
    async with gateway(pool, ScriptedGenerator(), ScriptedGenerator(), upload={"idle_seconds": 0.2}) as caller:

        async def silent():
            yield CONFIG
            await asyncio.sleep(5)

        with pytest.raises(UploadStalled, match=r"0\.2 s"):
            await events(caller.stub.StreamImage, silent())


@pytest.mark.parametrize("down", ["scoring", "attribute extraction"])
async def test_a_service_that_is_down_is_named(pool, down):
    generators = (None, ScriptedGenerator()) if down == "attribute extraction" else (ScriptedGenerator(), None)
    async with gateway(pool, *generators) as caller:
        with pytest.raises(ServiceUnavailable, match=down):
            await caller.image(PHOTO)


async def test_a_model_that_dies_in_the_middle_ends_the_call_as_unavailable(pool):
    dying = ScriptedGenerator(failures={"clarity": ModelUnavailable("the model has died; try again")})
    async with gateway(pool, dying, ScriptedGenerator()) as caller:
        with pytest.raises(ModelUnavailable):
            await caller.image(PHOTO)


async def test_reasoning_that_never_comes_to_a_number_is_an_unreadable_verdict(pool):
    rambling = ScriptedGenerator(cut="reasoning")
    async with gateway(pool, rambling, ScriptedGenerator()) as caller:
        with pytest.raises(UnreadableVerdict):
            await caller.image(PHOTO, form=score_pb2.ANSWER_FORM_NATURAL)


async def test_services_of_two_checkpoints_do_not_judge_together(pool):
    async with gateway(pool, ScriptedGenerator(fingerprint="0" * 16), ScriptedGenerator()) as caller:
        with pytest.raises(CheckpointError, match="different checkpoints"):
            await caller.image(PHOTO)


async def test_one_request_too_many_is_asked_to_come_back(pool):
    gate = asyncio.Event()
    model = ScriptedGenerator(gate=gate)
    async with gateway(pool, model, model, max_in_flight=1) as caller:
        first = asyncio.create_task(caller.image(PHOTO))
        await model.began.wait()
        with pytest.raises(Busy):
            await caller.image(PHOTO)
        gate.set()
        await first


async def test_quiet_times_are_filled_with_heartbeats(pool):
    gate = asyncio.Event()
    model = ScriptedGenerator(gate=gate)
    async with gateway(pool, model, model, heartbeat_seconds=0.1) as caller:
        asyncio.get_running_loop().call_later(0.5, gate.set)
        assert "heartbeat" in kinds(await caller.image(PHOTO))


async def test_a_client_that_goes_away_frees_the_model(pool):
    model = ScriptedGenerator(gate=asyncio.Event())
    async with gateway(pool, model, model) as caller:
        leaving = asyncio.create_task(caller.image(PHOTO))
        await model.began.wait()
        leaving.cancel()
        await asyncio.wait_for(model.ended.wait(), 5)
        async with asyncio.timeout(5):
            while model.in_flight:  # noqa: ASYNC110 - the fake counts, it does not signal
                await asyncio.sleep(0.01)
    assert model.in_flight == 0


@pytest.mark.parametrize("dying", ["scoring", "attribute extraction"])
async def test_a_service_that_dies_in_the_middle_of_a_stream_is_named(pool, dying):
    gate = asyncio.Event()
    model = ScriptedGenerator(gate=gate)
    async with gateway(pool, model, model) as caller:
        asking = asyncio.create_task(caller.image(PHOTO))
        await model.began.wait()
        await caller.stop(dying)
        with pytest.raises(ServiceUnavailable, match=dying):
            await asking


async def test_a_service_that_dies_leaves_the_rest_of_the_gateway_alive(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model) as caller:
        await caller.stop("attribute extraction")
        happened = await caller.image(PHOTO, form=score_pb2.ANSWER_FORM_DIRECT)
    assert result_of(happened).score.value == pytest.approx(3.72)


ACME = {"acme": CompositeWeights(minimum=0, maximum=10, intercept=1, weights={"clarity": 2})}


async def composed(pool, name=PHOTO, **config):
    model = ScriptedGenerator(choices={"clarity": " very clear"})
    async with gateway(pool, model, model, composites=ACME) as caller:
        return await (caller.video if name.startswith("mp4") else caller.image)(name, **config)


async def test_a_tenant_gets_a_composite_score_of_the_whole(pool):
    result = result_of(await composed(pool, VIDEO, tenant="acme"))
    assert result.composite_score.value == pytest.approx(result.windows[0].composite_score.value)


async def test_both_services_ask_the_model_in_the_name_of_the_tenant(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, composites=ACME) as caller:
        await caller.image(PHOTO, tenant="acme")
    assert [conversation.tenant for conversation in model.asked] == ["acme"] * 3


async def test_a_composite_counts_attributes_that_are_not_reported(pool):
    of_all = result_of(await composed(pool, tenant="acme")).composite_score
    assert result_of(await composed(pool, tenant="acme", attributes=["level_shot"])).composite_score == of_all


async def test_nobody_gets_a_composite_score_who_does_not_name_a_tenant(pool):
    assert not result_of(await composed(pool)).HasField("composite_score")


@pytest.mark.parametrize("name", [PHOTO, VIDEO, "random_bytes.jpg"])
async def test_an_unknown_tenant_is_refused_by_name_before_any_work(pool, name):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, composites=ACME) as caller:
        with pytest.raises(InvalidRequest, match="there is no tenant 'nobody'"):
            await (caller.video if name == VIDEO else caller.image)(name, tenant="nobody")
    assert model.asked == []


async def test_a_tenant_in_a_form_without_grades_is_refused_before_any_work(pool):
    model = ScriptedGenerator()
    async with gateway(pool, model, model, composites=ACME) as caller:
        with pytest.raises(InvalidRequest, match="the direct form has none"):
            await caller.image(PHOTO, tenant="acme", form=score_pb2.ANSWER_FORM_DIRECT)
    assert model.asked == []


async def test_weights_of_another_checkpoint_are_refused_before_any_work(pool):
    model = ScriptedGenerator()
    old = {"acme": ACME["acme"].model_copy(update={"checkpoint_fingerprint": "0" * 64})}
    async with gateway(pool, model, model, composites=old) as caller:
        with pytest.raises(CheckpointError, match="fit them again"):
            await caller.image(PHOTO, tenant="acme")
    assert model.asked == []


async def test_what_is_odd_about_the_machine_of_the_model_stands_in_the_result(pool):
    model = ScriptedGenerator(warnings=("last digits may vary",))
    async with gateway(pool, model, model) as caller:
        result = result_of(await caller.image(PHOTO))
    assert result.model.warnings == ["last digits may vary"]


async def test_a_checkpoint_that_wants_its_pictures_shrunk_first_gets_them_so(pool):
    first = ShrinkFirst(max_pixels=10_000, video_max_pixels=5_000, resample="nearest")
    small = small_checkpoint()
    pixels = small.pixels.model_copy(update={"shrink_first": first})
    model = ScriptedGenerator()
    async with gateway(pool, model, model, checkpoint=small.model_copy(update={"pixels": pixels})) as caller:
        await caller.image(PHOTO)
        await caller.video(VIDEO)
    assert [model.clips[place].frames[0].pixels.shape for place in (0, -1)] == [(84, 112, 3), (56, 84, 3)]


async def test_only_pictures_are_enlarged_first_where_a_checkpoint_wants_it(pool):
    small = small_checkpoint()
    pixels = small.pixels.model_copy(update={"enlarge_first_pixels": 4_000_000})
    observed = []
    for checkpoint in (small, small.model_copy(update={"pixels": pixels})):
        model = ScriptedGenerator()
        async with gateway(pool, model, model, checkpoint=checkpoint) as caller:
            await caller.image(PHOTO)
            await caller.video(VIDEO)
        observed.append([model.clips[place].frames[0].pixels for place in (0, -1)])
    (photo, frame), (enlarged_photo, same_frame) = observed
    assert not np.array_equal(photo, enlarged_photo)
    assert np.array_equal(frame, same_frame)
