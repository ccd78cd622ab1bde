"""assay/rpc/errors.py: there and back, over the metadata that a call ends with."""

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc.aio import AioRpcError, Metadata

from assay.errors import (
    AssayError,
    BadMedia,
    Busy,
    CheckpointError,
    InvalidRequest,
    ModelUnavailable,
    OverLimit,
    ServiceUnavailable,
    SettingsError,
    UnreadableVerdict,
)
from assay.rpc.errors import DETAILS_KEY, error_from, status_of
from assay.rpc.validation import InvalidMessage

KINDS = [
    AssayError,
    BadMedia,
    Busy,
    CheckpointError,
    InvalidRequest,
    ModelUnavailable,
    OverLimit,
    ServiceUnavailable,
    SettingsError,
    UnreadableVerdict,
]


def received(error: AssayError) -> AioRpcError:
    """What a client's call raises."""
    status = status_of(error)
    trailing = Metadata((DETAILS_KEY, status.SerializeToString()))
    return AioRpcError(grpc.StatusCode[error.grpc_status], Metadata(), trailing, status.message)


def bare(code: grpc.StatusCode, details: str = "0xdeadbeef in chttp2.cc") -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details)


def detail(error: AssayError, kind):
    found = kind()
    assert any(each.Unpack(found) for each in status_of(error).details)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_comes_back_as_what_it_was(kind):
    back = error_from(received(kind("the picture is empty", field="image")))
    assert (type(back), back.message, back.field) == (kind, "the picture is empty", "image")


def test_every_status_says_that_it_is_ours():
    info = detail(BadMedia("empty"), error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason) == ("assay", "BAD_MEDIA")


def test_busy_says_when_to_come_again():
    assert detail(Busy("full"), error_details_pb2.RetryInfo).retry_delay.seconds == 1


def test_all_broken_fields_are_reported_at_once():
    bad = detail(InvalidMessage((("a", "too long"), ("b", "missing"))), error_details_pb2.BadRequest)
    assert [(each.field, each.description) for each in bad.field_violations] == [("a", "too long"), ("b", "missing")]


def test_an_error_fits_into_the_metadata_that_a_peer_takes():
    many = InvalidMessage(tuple((f"field_{number}", "x" * 10_000) for number in range(100)))
    assert status_of(many).ByteSize() < 8192


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, ServiceUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, ServiceUnavailable),
        (grpc.StatusCode.UNIMPLEMENTED, ServiceUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverLimit),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.INTERNAL, AssayError),
        (grpc.StatusCode.UNKNOWN, AssayError),
    ],
)
def test_a_status_without_a_reason_still_becomes_an_error_with_a_sentence(code, kind):
    assert type(error_from(bare(code))) is kind


def test_what_grpc_says_of_its_inside_stays_inside():
    assert "0xdeadbeef" not in error_from(bare(grpc.StatusCode.INTERNAL), "scoring").message


def test_details_that_cannot_be_read_do_not_hide_the_status():
    broken = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata((DETAILS_KEY, b"\xff\xff")), "")
    assert isinstance(error_from(broken), ServiceUnavailable)


def test_a_status_that_was_lost_on_the_way_is_no_failure_of_the_peer():
    lost = error_from(bare(grpc.StatusCode.INTERNAL, "Internal error from Core"), "the gateway")
    assert lost.message == "the gateway ended the call before all was sent, and its reason was lost; try again"


def test_a_reason_of_another_domain_is_not_ours():
    status = status_of(BadMedia("no"))
    info = error_details_pb2.ErrorInfo(domain="example.com", reason="BAD_MEDIA")
    status.details[0].Pack(info)
    foreign = AioRpcError(
        grpc.StatusCode.DATA_LOSS, Metadata(), Metadata((DETAILS_KEY, status.SerializeToString())), ""
    )
    assert isinstance(error_from(foreign), UnreadableVerdict)
