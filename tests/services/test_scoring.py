"""services/scoring over real gRPC, with a scripted model."""

import asyncio
from typing import Any

import numpy as np
import pytest

from assay.attribute import Attribute
from assay.composite import CompositeWeights
from assay.errors import (
    Busy,
    CheckpointError,
    InvalidRequest,
    ModelUnavailable,
    OverLimit,
    UnreadableVerdict,
)
from assay.v1 import score_pb2, scoring_pb2
from assay.wire import attribute_to_wire
from tests.scripted_generator import FINGERPRINT, ScriptedGenerator
from tests.services.serving import answers, picture, scoring, to_score

DIRECT = score_pb2.ANSWER_FORM_DIRECT
WRITTEN: dict[str, Any] = {
    "texts": ["Reason:", " fine", "\nThe final score is <"],
    "checkpoint_fingerprint": FINGERPRINT,
    "is_complete": True,
}


@pytest.fixture
def reported() -> dict[str, Any]:
    """A transcript as extraction would have written it with the regular form of the small checkpoint."""
    return dict(WRITTEN)


async def test_the_early_score_comes_before_the_transcript_is_sent(reported):
    async with scoring(ScriptedGenerator(direct="3.72")) as stub:
        *before, transcript = to_score(picture(), **reported)
        call = stub.Score()
        for part in before:
            await call.write(part)
        early = await call.read()
        await call.write(transcript)
        await call.done_writing()
        assert early.early_score.digits_as_written == "3.72"
        assert (await call.read()).HasField("final_score")


async def test_the_final_score_lies_between_the_direct_and_the_reasoned_one(reported):
    async with scoring(ScriptedGenerator(direct="3.00", reasoned="5.00")) as stub:
        _, last = await answers(stub.Score, to_score(picture(), **reported))
    assert last.final_score.score.value == pytest.approx(4.0)
    assert last.final_score.reasoned_score.value == pytest.approx(5.0)


async def test_the_direct_form_ends_without_a_reasoned_score():
    async with scoring(ScriptedGenerator(direct="3.72")) as stub:
        _, last = await answers(stub.Score, to_score(picture(), DIRECT))
    assert last.final_score.score.digits_as_written == "3.72"
    assert not last.final_score.HasField("reasoned_score")


async def test_the_number_is_asked_right_after_the_transcript(reported):
    generator = ScriptedGenerator()
    async with scoring(generator) as stub:
        await answers(stub.Score, to_score(picture(), **reported))
    assert [each.answered for each in generator.asked] == [(), tuple(reported["texts"])]


async def test_the_model_sees_the_pixels_that_were_sent():
    generator = ScriptedGenerator()
    async with scoring(generator) as stub:
        await answers(stub.Score, to_score(picture(), DIRECT))
    assert np.array_equal(generator.clips[0].stacked(), picture().stacked())


async def test_where_the_pixels_are_cut_does_not_matter():
    generator = ScriptedGenerator()
    config, pixels = to_score(picture(), DIRECT)
    pieces = [pixels.pixels[:1], pixels.pixels[1:5000], pixels.pixels[5000:]]
    async with scoring(generator) as stub:
        await answers(stub.Score, [config, *(scoring_pb2.ScoreRequest(pixels=piece) for piece in pieces)])
    assert np.array_equal(generator.clips[0].stacked(), picture().stacked())


async def test_reasoning_that_was_cut_gives_an_unreadable_verdict(reported):
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(UnreadableVerdict, match="cut before it came to a score"):
            await answers(stub.Score, to_score(picture(), **{**reported, "is_complete": False}))


async def test_a_transcript_of_another_checkpoint_is_refused(reported):
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(CheckpointError, match=f"serves checkpoint 0ther and scoring serves {FINGERPRINT}"):
            await answers(stub.Score, to_score(picture(), **{**reported, "checkpoint_fingerprint": "0ther"}))


async def test_a_transcript_that_does_not_lead_up_to_the_number_is_refused(reported):
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(InvalidRequest, match="must end with"):
            await answers(stub.Score, to_score(picture(), **{**reported, "texts": ["I would rather not say"]}))


def without_config(parts):
    return parts[1:]


def config_twice(parts):
    return [parts[0], *parts]


def one_byte_short(parts):
    return [parts[0], scoring_pb2.ScoreRequest(pixels=parts[1].pixels[:-1])]


def one_byte_long(parts):
    return [*parts[:2], scoring_pb2.ScoreRequest(pixels=b"!")]


def transcript_before_pixels(parts):
    return [parts[0], parts[2], parts[1]]


def transcript_twice(parts):
    return [*parts, parts[2]]


def no_transcript(parts):
    return parts[:2]


def empty_part(parts):
    return [parts[0], scoring_pb2.ScoreRequest(), *parts[1:]]


def nothing(parts):
    return []


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (without_config, "config"),
        (config_twice, "config"),
        (one_byte_short, "pixels"),
        (one_byte_long, "pixels"),
        (transcript_before_pixels, "transcript"),
        (transcript_twice, "transcript"),
        (no_transcript, "transcript"),
        (empty_part, "part"),
        (nothing, "config"),
    ],
)
async def test_a_request_out_of_order_is_refused_and_names_the_part(broken, field, reported):
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(InvalidRequest) as refused:
            await answers(stub.Score, broken(to_score(picture(), **reported)))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"request_id": ""}, "config.request_id"),
        ({"form": 99}, "config.form"),
        ({"form": 0}, "config.form"),
    ],
)
async def test_a_config_that_breaks_a_rule_names_its_field(change, field):
    parts = to_score(picture(), DIRECT)
    for name, value in change.items():
        setattr(parts[0].config, name, value)
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(InvalidRequest) as refused:
            await answers(stub.Score, parts)
    assert refused.value.field == field


@pytest.mark.parametrize("change", [{"height_px": 57}, {"height_px": 2800, "width_px": 2800}, {"pts_seconds": [0, 1]}])
async def test_frames_that_the_model_does_not_take_are_refused_before_a_pixel_is_read(change):
    parts = to_score(picture(), DIRECT)[:1]
    for name, value in change.items():
        if name == "pts_seconds":
            parts[0].config.clip.pts_seconds[:] = value
        else:
            setattr(parts[0].config.clip, name, value)
    async with scoring(ScriptedGenerator()) as stub:
        with pytest.raises(InvalidRequest, match=r"px|frames"):
            await answers(stub.Score, parts)


async def test_a_client_that_falls_silent_is_let_go():
    async with scoring(ScriptedGenerator(), idle_timeout_seconds=0.05) as stub:
        call = stub.Score()
        await call.write(to_score(picture())[0])
        assert (await call.code()).name == OverLimit.grpc_status


async def test_a_transcript_that_never_comes_ends_the_call_after_the_early_score():
    async with scoring(ScriptedGenerator(), transcript_timeout_seconds=0.05) as stub:
        call = stub.Score()
        for part in to_score(picture()):
            await call.write(part)
        assert (await call.read()).HasField("early_score")
        assert "expected transcript" in await call.details()


async def test_the_call_after_the_last_place_is_reported_to_come_again():
    generator = ScriptedGenerator(gate=asyncio.Event())
    async with scoring(generator, max_in_flight=1) as stub:
        first = asyncio.create_task(answers(stub.Score, to_score(picture(), DIRECT)))
        await generator.began.wait()
        with pytest.raises(Busy, match="limit of 1 requests"):
            await answers(stub.Score, to_score(picture(), DIRECT))
        generator.gate.set()
        assert len(await first) == 2


async def test_the_refusal_of_a_large_clip_always_arrives():
    large = to_score(picture(56), DIRECT)
    large += [scoring_pb2.ScoreRequest(pixels=bytes(1 << 20))] * 5
    async with scoring(ScriptedGenerator(), max_in_flight=0) as stub:
        refusals = [await refusal(stub, large) for _ in range(20)]
    assert {type(each) for each in refusals} == {Busy}


async def test_a_model_server_that_is_down_is_a_typed_error():
    down = ModelUnavailable("The model server cannot be reached; try again.")
    async with scoring(ScriptedGenerator(failures={"start": down})) as stub:
        with pytest.raises(ModelUnavailable, match="cannot be reached; try again"):
            await answers(stub.Score, to_score(picture(), DIRECT))


async def test_a_typed_error_is_not_asked_for_again_by_the_channel():
    generator = ScriptedGenerator(failures={"start": ModelUnavailable("down")})
    async with scoring(generator) as stub:
        with pytest.raises(ModelUnavailable):
            await answers(stub.Score, to_score(picture(), DIRECT))
    assert len(generator.asked) == 1


async def test_a_model_that_dies_after_the_early_score_does_not_take_it_back(reported):
    generator = ScriptedGenerator()
    async with scoring(generator) as stub:
        *before, transcript = to_score(picture(), **reported)
        call = stub.Score()
        for part in before:
            await call.write(part)
        early = await call.read()
        generator.failures = {"score": ModelUnavailable("The model server died; try again.")}
        await call.write(transcript)
        await call.done_writing()
        assert early.HasField("early_score")
        assert await call.details() == "The model server died; try again."


async def test_a_client_that_cancels_frees_the_model():
    generator = ScriptedGenerator(gate=asyncio.Event())
    async with scoring(generator, max_in_flight=1) as stub:
        call = stub.Score(iter(to_score(picture(), DIRECT)))
        await generator.began.wait()
        call.cancel()
        await asyncio.wait_for(generator.ended.wait(), 5)
    assert generator.abandoned == 1


async def test_a_cancelled_call_gives_its_place_back():
    generator = ScriptedGenerator(gate=asyncio.Event())
    async with scoring(generator, max_in_flight=1) as stub:
        call = stub.Score(iter(to_score(picture(), DIRECT)))
        await generator.began.wait()
        call.cancel()
        await asyncio.wait_for(generator.ended.wait(), 5)
        generator.gate.set()
        assert len(await answers(stub.Score, to_score(picture(), DIRECT))) == 2


async def test_a_broken_request_loses_nothing_for_the_others(reported):
    good, bad = to_score(picture(), **reported), to_score(picture(), **reported)[:2]
    async with scoring(ScriptedGenerator()) as stub:
        calls = [answers(stub.Score, bad if number % 2 else good) for number in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert [len(each) for each in results[::2]] == [2] * 5


async def test_the_service_says_which_checkpoint_answers():
    async with scoring(ScriptedGenerator()) as stub:
        response = await stub.DescribeModel(scoring_pb2.ScoringServiceDescribeModelRequest())
    assert response.spec.model.checkpoint_fingerprint == FINGERPRINT


async def test_what_is_odd_about_the_machine_of_the_model_is_reported():
    async with scoring(ScriptedGenerator(warnings=("last digits may vary",))) as stub:
        response = await stub.DescribeModel(scoring_pb2.ScoringServiceDescribeModelRequest())
    assert response.spec.model.warnings == ["last digits may vary"]


ACME = CompositeWeights(minimum=0, maximum=10, intercept=1, weights={"clarity": 2})


def grades(*attributes: Attribute) -> scoring_pb2.ScoreRequest:
    return scoring_pb2.ScoreRequest(grades=scoring_pb2.Grades(attributes=map(attribute_to_wire, attributes)))


async def composed(reported, *attributes, weights=ACME):
    """The final score for the tenant acme."""
    async with scoring(ScriptedGenerator(), composites={"acme": weights}) as stub:
        parts = [*to_score(picture(), tenant="acme", **reported), grades(*attributes)]
        return (await answers(stub.Score, parts))[-1].final_score


async def test_a_tenant_gets_a_composite_of_the_grades(reported):
    final = await composed(reported, Attribute("clarity", "very clear"), Attribute("composition", "3"))
    assert (final.composite_score.value, final.composite_score.scale.maximum) == (9.0, 10.0)


async def test_what_is_asked_for_a_tenant_is_asked_in_its_name(reported):
    generator = ScriptedGenerator()
    async with scoring(generator, composites={"acme": ACME}) as stub:
        await answers(stub.Score, [*to_score(picture(), tenant="acme", **reported), grades()])
        await answers(stub.Score, to_score(picture(), **reported))
    assert [conversation.tenant for conversation in generator.asked] == ["acme", "acme", "", ""]


async def test_a_composite_leaves_the_score_alone(reported):
    final = await composed(reported, Attribute("clarity", "very clear"))
    assert final.score.value == pytest.approx((3.72 + 5.04) / 2)


async def test_there_is_no_composite_where_a_grade_that_weighs_is_missing(reported):
    assert not (await composed(reported, Attribute("composition", "3"))).HasField("composite_score")


async def test_there_is_no_composite_without_a_tenant(reported):
    async with scoring(ScriptedGenerator(), composites={"acme": ACME}) as stub:
        _, last = await answers(stub.Score, to_score(picture(), **reported))
    assert not last.final_score.HasField("composite_score")


async def test_an_unknown_tenant_is_refused_by_name_before_a_pixel_is_read():
    async with scoring(ScriptedGenerator(), composites={"acme": ACME}) as stub:
        with pytest.raises(InvalidRequest, match=r"there is no tenant '\.\./acme'") as refused:
            await answers(stub.Score, to_score(picture(), tenant="../acme")[:1])
    assert refused.value.field == "config.tenant"


async def test_a_tenant_cannot_ask_for_the_direct_form():
    async with scoring(ScriptedGenerator(), composites={"acme": ACME}) as stub:
        with pytest.raises(InvalidRequest, match="the direct form has none"):
            await answers(stub.Score, to_score(picture(), DIRECT, tenant="acme"))


async def test_weights_that_were_fitted_to_another_checkpoint_are_refused(reported):
    with pytest.raises(CheckpointError, match="fitted to the grades of checkpoint 0ther"):
        await composed(reported, weights=ACME.model_copy(update={"checkpoint_fingerprint": "0ther"}))


async def test_weights_that_were_fitted_in_another_number_format_are_used(reported):
    await composed(reported, weights=ACME.model_copy(update={"checkpoint_fingerprint": f"{FINGERPRINT}-bfloat16"}))


async def test_a_tenant_without_grades_is_refused(reported):
    async with scoring(ScriptedGenerator(), composites={"acme": ACME}) as stub:
        with pytest.raises(InvalidRequest) as refused:
            await answers(stub.Score, to_score(picture(), tenant="acme", **reported))
    assert refused.value.field == "grades"


async def refusal(stub, parts):
    with pytest.raises(Exception) as refused:  # noqa: PT011 which one it is, is what is asked
        await answers(stub.Score, parts)
    return refused.value
