"""services/attribute_extraction over real gRPC, with a scripted model."""

import asyncio

import pytest

from assay.attribute import Attribute
from assay.cot import Reasoning
from assay.errors import InvalidRequest, ModelUnavailable
from assay.v1 import attribute_extraction_pb2 as pb
from assay.v1 import score_pb2
from assay.wire import attribute_from_wire
from services.attribute_extraction.extract import extract
from tests.checkpoints import small_checkpoint
from tests.scripted_generator import FINGERPRINT, ScriptedGenerator
from tests.services.serving import answers, extraction, picture, to_extract

NATURAL = score_pb2.ANSWER_FORM_NATURAL
REGULAR_TEXT = """Reason: calm
Composition: 7
Subject: a dog
Background: a green meadow
Clarity: very clear
The final score is <"""


@pytest.fixture
def generator() -> ScriptedGenerator:
    """Answers in the regular form of the small checkpoint."""
    texts = {"composition_reason": " calm", "subject": " a dog", "background": " a green meadow"}
    return ScriptedGenerator(texts, {"composition": " 7", "clarity": " very clear"})


async def extracted(generator, form=score_pb2.ANSWER_FORM_REGULAR):
    async with extraction(generator) as stub:
        responses = await answers(stub.ExtractAttributes, to_extract(picture(), form))
        return [event for response in responses for event in response.events]


def attributes(events) -> list[Attribute]:
    return [attribute_from_wire(event.attribute) for event in events if event.HasField("attribute")]


async def test_the_transcript_is_the_answer_up_to_the_number_byte_for_byte(generator):
    *_, last = await extracted(generator)
    assert "".join(last.transcript.texts) == REGULAR_TEXT


async def test_what_is_asked_for_a_tenant_is_asked_in_its_name(generator):
    async with extraction(generator) as stub:
        for tenant in ("acme", ""):
            await answers(stub.ExtractAttributes, to_extract(picture(), tenant=tenant))
    assert [conversation.tenant for conversation in generator.asked] == ["acme", ""]


@pytest.mark.parametrize(
    ("form", "read"),
    [
        (score_pb2.ANSWER_FORM_REGULAR, REGULAR_TEXT.removesuffix("\nThe final score is <")),
        (NATURAL, " a word"),
    ],
)
async def test_the_reasoning_is_the_transcript_without_the_sentence_of_the_number(generator, form, read):
    *events, last = await extracted(generator, form)
    assert "".join(event.reasoning for event in events) == read
    assert "".join(last.transcript.texts).startswith(read)


@pytest.mark.parametrize(
    ("ending", "shown"),
    [
        ("\nThe final score is <", ""),
        (" The final score is <", ""),
        (")\nThe final score is <", ")"),
        (", all in all. The score is <", ", all in all."),
        ("<", ""),
    ],
)
async def test_what_is_forced_in_front_of_the_last_sentence_is_shown(ending, shown):
    checkpoint = small_checkpoint()
    natural = checkpoint.form["natural"].model_copy(update={"answer": "{reasoning}" + ending + "{score}>."})
    changed = checkpoint.model_copy(update={"form": {**checkpoint.form, "natural": natural}})
    clip = picture()
    heard = [each async for each in extract(ScriptedGenerator({"reasoning": "Nice"}), changed, "natural", clip)]
    assert "".join(each.text for each in heard if isinstance(each, Reasoning)) == "Nice" + shown


async def test_the_transcript_says_who_wrote_it_and_that_it_is_whole(generator):
    *_, last = await extracted(generator)
    assert (last.transcript.checkpoint_fingerprint, last.transcript.is_complete) == (FINGERPRINT, True)


async def test_a_grade_comes_with_its_reason_and_the_probability_of_every_grade(generator):
    composition = attributes(await extracted(generator))[0]
    assert (composition.name, composition.grade, composition.text) == ("composition", "7", "calm")
    assert composition.probabilities["7"] == 0.75
    assert len(composition.probabilities) == 10


async def test_subject_and_background_are_one_attribute_reported_once_both_are_written(generator):
    events = await extracted(generator)
    reported = attributes(events)
    assert [each.name for each in reported] == ["composition", "subject_and_background", "clarity"]
    assert reported[1].text == "a dog; a green meadow"


async def test_an_attribute_comes_before_what_is_written_after_it(generator):
    events = await extracted(generator)
    kinds = [event.reasoning or event.WhichOneof("event") for event in events]
    assert kinds[kinds.index("attribute") + 1].startswith("\nSubject:")


async def test_events_that_are_ready_at_one_moment_travel_in_one_message(generator):
    async with extraction(generator) as stub:
        responses = await answers(stub.ExtractAttributes, to_extract(picture()))
    assert all(response.events for response in responses)
    assert len(responses) < sum(len(response.events) for response in responses)


async def test_grades_are_read_from_free_prose():
    prose = "A dog with a score of 7. The camera is tilted and the image is moderately clear"
    events = await extracted(ScriptedGenerator({"reasoning": prose}), NATURAL)
    assert [(each.name, each.grade) for each in attributes(events)] == [
        ("composition", "7"),
        ("level_shot", "no"),
        ("clarity", "moderately clear"),
    ]


async def test_a_grade_read_from_prose_claims_no_probabilities():
    events = await extracted(ScriptedGenerator({"reasoning": "The camera is level."}), NATURAL)
    assert attributes(events) == [Attribute("level_shot", "yes")]


async def test_the_text_that_leads_up_to_the_number_stands_once_in_a_natural_transcript():
    *_, last = await extracted(ScriptedGenerator({"reasoning": "Nice."}), NATURAL)
    assert "".join(last.transcript.texts) == "Nice. The final score is <"


async def test_prose_that_was_cut_makes_an_incomplete_transcript():
    *_, last = await extracted(ScriptedGenerator({"reasoning": "On and on"}, cut="reasoning"), NATURAL)
    assert not last.transcript.is_complete


async def test_a_reason_that_was_cut_leaves_a_regular_transcript_complete(generator):
    generator.cut = "composition_reason"
    *_, last = await extracted(generator)
    assert last.transcript.is_complete


async def test_the_question_is_that_of_the_form(generator):
    await extracted(generator)
    assert generator.asked[0].question == "Rate this image with the regular form."


async def test_reasoning_is_sent_while_the_model_is_still_writing(generator):
    generator.gate = asyncio.Event()
    async with extraction(generator) as stub:
        call = stub.ExtractAttributes(iter(to_extract(picture())))
        first = await call.read()
        assert first.events[0].reasoning == "Reason:"
        call.cancel()


async def test_a_direct_form_has_nothing_to_extract(generator):
    with pytest.raises(InvalidRequest) as refused:
        await extracted(generator, score_pb2.ANSWER_FORM_DIRECT)
    assert refused.value.field == "config.form"


async def test_pixels_after_the_last_are_refused_before_the_model_is_asked(generator):
    async with extraction(generator) as stub:
        with pytest.raises(InvalidRequest):
            await answers(stub.ExtractAttributes, [*to_extract(picture()), pb.ExtractAttributesRequest(pixels=b"!")])
    assert generator.asked == []


async def test_a_model_that_dies_in_the_middle_leaves_what_it_wrote(generator):
    generator.failures = {"composition": ModelUnavailable("The model server died; try again.")}
    read = []
    async with extraction(generator) as stub:
        with pytest.raises(ModelUnavailable, match="The model server died; try again"):
            await answers(stub.ExtractAttributes, to_extract(picture()), into=read)
    assert "".join(event.reasoning for each in read for event in each.events) == "Reason: calm\nComposition:"


async def test_a_client_that_cancels_in_the_middle_frees_the_model(generator):
    generator.gate = asyncio.Event()
    async with extraction(generator) as stub:
        call = stub.ExtractAttributes(iter(to_extract(picture())))
        await call.read()
        call.cancel()
        await asyncio.wait_for(generator.ended.wait(), 5)
    assert generator.abandoned == 1


async def test_the_service_says_what_frames_it_takes(generator):
    async with extraction(generator) as stub:
        response = await stub.DescribeModel(pb.AttributeExtractionServiceDescribeModelRequest())
    assert (response.spec.model.name, response.spec.factor_px) == ("test", 28)
