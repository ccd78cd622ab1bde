"""What goes into tensors comes out again, and what is no request is refused with a sentence."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import errors
from assay.errors import AssayError, InvalidRequest
from assay.form import Choice, Digits, Form, Free, Literal
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation, Finished, NumberWritten, Wrote
from assay.tensors import (
    Cancel,
    GenerationRequest,
    cancel_to_tensors,
    events_from_tensors,
    events_to_tensors,
    request_from_tensors,
    request_to_tensors,
)

KINDS_OF_ERROR = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AssayError)]
texts = st.text(st.characters(exclude_categories=["Cs"]))
probabilities = st.floats(0, 1)
events = st.one_of(
    st.builds(Wrote, texts, texts),
    st.builds(Chose, texts, texts, st.dictionaries(texts, probabilities, min_size=1)),
    st.builds(
        NumberWritten,
        texts,
        texts,
        st.dictionaries(st.text("0123456789", max_size=3), st.tuples(*[probabilities] * 10), min_size=1),
    ),
    st.builds(
        Finished,
        st.sampled_from(["complete", "cut"]),
        texts,
        st.integers(0, 2**40),
        st.integers(0, 2**40),
        st.lists(texts, max_size=2).map(tuple),
    ),
    st.none(),
)
FORM = Form((Literal("Score:"), Choice("clutter", (" a", " b")), Digits("score", lead=" "), Free("why", max_tokens=8)))


def request(pixels=None, question="How good?") -> GenerationRequest:
    frames = np.zeros((2, 4, 6, 3), np.uint8) if pixels is None else pixels
    clip = Clip(tuple(Frame(picture, index / 3) for index, picture in enumerate(frames)), is_video=True)
    asks = Conversation(question, "a system", ("what", " stands"), "acme")
    return GenerationRequest("an id", clip, asks, FORM, seconds_left=1.5, priority=2, traceparent="00-a-b-01")


@given(st.lists(events, min_size=1, max_size=4))
def test_events_come_out_as_they_went_in(several):
    assert events_from_tensors(events_to_tensors(several)) == several


@pytest.mark.parametrize("kind", KINDS_OF_ERROR)
def test_an_error_keeps_its_class_message_and_field(kind):
    (error,) = events_from_tensors(events_to_tensors([kind("what is wrong", field="clip.frames")]))
    assert isinstance(error, kind)
    assert (type(error), error.message, error.field) == (kind, "what is wrong", "clip.frames")


def test_no_two_errors_share_a_reason():
    assert len({kind.reason for kind in KINDS_OF_ERROR}) == len(KINDS_OF_ERROR)


@given(texts, st.integers(1, 3), st.booleans())
def test_a_request_comes_out_as_it_went_in(question, height, is_fortran):
    pixels = np.random.default_rng(height).integers(0, 256, (3, height, 5, 3), np.uint8)
    sent = request(np.asfortranarray(pixels) if is_fortran else pixels, question)
    received = request_from_tensors(request_to_tensors(sent))
    assert isinstance(received, GenerationRequest)
    assert (received.request_id, received.conversation, received.form) == ("an id", sent.conversation, FORM)
    assert received.clip.is_video
    assert [frame.pts_seconds for frame in received.clip.frames] == [frame.pts_seconds for frame in sent.clip.frames]
    np.testing.assert_array_equal(received.clip.stacked(), pixels)


@pytest.mark.parametrize("answered", [(), ("It is ", " very clear")])
def test_the_answer_so_far_comes_out_segment_by_segment(answered):
    sent = request()
    sent = dataclasses.replace(sent, conversation=dataclasses.replace(sent.conversation, answered=answered))
    received = request_from_tensors(request_to_tensors(sent))
    assert isinstance(received, GenerationRequest)
    assert received.conversation.answered == answered


def test_a_request_that_names_no_tenant_is_nobodys():
    tensors = request_to_tensors(request())
    del tensors["TENANT"]
    received = request_from_tensors(tensors)
    assert isinstance(received, GenerationRequest)
    assert received.conversation.tenant == ""


def test_the_pictures_of_a_request_are_a_copy():
    tensors = request_to_tensors(request())
    received = request_from_tensors(tensors)
    tensors["FRAMES"][:] = 255
    assert isinstance(received, GenerationRequest)
    assert received.clip.stacked().max() == 0


def test_a_cancel_needs_nothing_but_the_id():
    assert request_from_tensors(cancel_to_tensors(Cancel("an id"))) == Cancel("an id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAMES", None),
        ("FRAMES", np.zeros((2, 4, 6, 4), np.uint8)),
        ("FRAMES", np.zeros((0, 4, 6, 3), np.uint8)),
        ("FRAMES", np.zeros((2, 0, 6, 3), np.uint8)),
        ("FRAMES", np.zeros((2, 4, 6, 3), np.float32)),
        ("PTS_SECONDS", np.array([0.0])),
        ("PTS_SECONDS", np.array([1.0, 0.0])),
        ("PTS_SECONDS", np.array([0.0, np.nan])),
        ("IS_VIDEO", np.array([False])),
        ("REQUEST_ID", np.array([b"a", b"b"], np.object_)),
        ("QUESTION", np.array([b"\xff"], np.object_)),
        ("QUESTION", np.array([1.0])),
        ("TENANT", np.array([b"\xff"], np.object_)),
        ("FORM", np.array([b"{}"], np.object_)),
        ("FORM", np.array([b"[" * 100_000], np.object_)),
        ("FORM", np.array([b'[{"kind": "choice", "name": "a", "options": 5}]'], np.object_)),
        ("FORM", np.array([b'[{"kind": "spell"}]'], np.object_)),
        ("CANCEL", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_request_is_refused(name, value):
    tensors = request_to_tensors(request())
    tensors.pop(name)
    if value is not None:
        tensors[name] = value
    with pytest.raises(InvalidRequest):
        request_from_tensors(tensors)


def test_half_a_surrogate_pair_is_refused_before_it_is_sent():
    with pytest.raises(InvalidRequest, match="surrogate"):
        request_to_tensors(request(question="\ud800"))


def test_an_unknown_kind_of_event_is_an_error():
    with pytest.raises(ValueError, match="dreamt"):
        events_from_tensors({"EVENTS": np.array([b'{"kind": "dreamt"}'], np.object_)})


def test_every_field_of_a_conversation_crosses():
    assert {field.name for field in dataclasses.fields(Conversation)} == {"question", "system", "answered", "tenant"}
