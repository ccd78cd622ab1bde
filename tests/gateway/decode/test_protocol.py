import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import BadMedia, OverLimit
from assay.frame import Frame
from gateway.decode import protocol
from gateway.decode.protocol import Kind
from gateway.decode.records import record_of
from gateway.decode.slots import SLOTS, FrameSlots
from gateway.decode.spec import DecodeSummary, MediaInfo, Shrink
from tests.gateway.decode.upload import VIDEO


def body_of(event):
    return protocol.event_message(event)[protocol.HEADER.size :]


@pytest.fixture(scope="module")
def slots():
    memory = FrameSlots.create()
    memory.grow(600)
    yield memory
    memory.close()


def test_a_spec_arrives_as_it_was_sent():
    assert protocol.job_from_body(protocol.job_body(VIDEO, 600)) == (VIDEO, 600)


def test_a_shrink_arrives_as_it_was_sent():
    spec = dataclasses.replace(VIDEO, target=dataclasses.replace(VIDEO.target, shrink_first=Shrink(16384, "nearest")))
    assert protocol.job_from_body(protocol.job_body(spec, 600))[0] == spec


@pytest.mark.parametrize("slot", [0, 3])
def test_a_frame_arrives_as_it_was_sent(slots, slot):
    frame = Frame(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), 1.5)
    slots.put(slot, frame.pixels)
    arrived = protocol.frame_from_body(protocol.frame_message(frame, slot)[protocol.HEADER.size :], slots)
    assert (arrived.pts_seconds, arrived.pixels.tolist()) == (1.5, frame.pixels.tolist())


def test_info_arrives_as_it_was_sent():
    info = MediaInfo(True, "mp4", "h264", 640, 360)
    assert record_of(Kind.INFO, body_of(info)) == info


def test_a_summary_arrives_as_it_was_sent():
    summary = DecodeSummary(3.96, 100, 2, 8, ("2 damaged frames were left out",))
    assert record_of(Kind.SUMMARY, body_of(summary)) == summary


def test_an_error_arrives_with_its_detail_apart():
    failed = record_of(Kind.ERROR, protocol.error_body(OverLimit("too big", budget="max_frames"), "secret"))
    assert (failed.error.message, failed.error.budget, failed.detail) == ("too big", "max_frames", "secret")


@pytest.mark.parametrize("kind", [Kind.INFO, Kind.SUMMARY, Kind.LOST, Kind.ERROR, Kind.ESCAPED])
@given(body=st.one_of(st.binary(max_size=50), st.recursive(st.none() | st.integers(), st.lists).map(json.dumps)))
def test_nonsense_of_a_worker_is_recognised(kind, body):
    with pytest.raises(protocol.ProtocolError):
        record_of(kind, body.encode() if isinstance(body, str) else body)


@given(st.binary(max_size=30))
def test_a_frame_message_of_odd_length_is_recognised(slots, body):
    with pytest.raises(protocol.ProtocolError):
        protocol.frame_from_body(body if len(body) != protocol.FRAME.size else b"", slots)


@pytest.mark.parametrize("place", [(2, 4, SLOTS), (1000, 1000, 0), (0, 4, 0), (2**32 - 1, 2**32 - 1, 0)])
def test_a_frame_that_cannot_be_where_it_is_said_to_be_is_recognised(slots, place):
    with pytest.raises(protocol.ProtocolError):
        protocol.frame_from_body(protocol.FRAME.pack(0.0, *place), slots)


@pytest.mark.parametrize("kind", ["AssayError", "ModelUnavailable", "SystemExit"])
def test_a_worker_can_only_blame_the_file(kind):
    body = json.loads(protocol.error_body(BadMedia("x"), ""))
    with pytest.raises(protocol.ProtocolError):
        record_of(Kind.ERROR, json.dumps({**body, "kind": kind}).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_px": -1},
        {"width_px": 10**12},
        {"width_px": 1.5},
        {"width_px": True},
        {"codec": 1},
        {"codec": "x" * 1001},
        {"is_video": "yes"},
    ],
)
def test_what_no_file_has_is_recognised(wrong):
    body = {**dataclasses.asdict(MediaInfo(True, "mp4", "h264", 640, 360)), **wrong}
    with pytest.raises(protocol.ProtocolError, match=f"INFO: .*{next(iter(wrong))}"):
        record_of(Kind.INFO, json.dumps(body).encode())
