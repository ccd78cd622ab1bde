"""AssayError <-> gRPC status. A status carries google.rpc.Status: ErrorInfo always, and what helps to act on it.

What crosses the wire is the error's own sentence, its reason and its field: never a traceback, never str() of an
exception that we did not raise on purpose.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from assay.errors import (
    AssayError,
    Busy,
    InvalidRequest,
    OverLimit,
    QuotaExceeded,
    ServiceUnavailable,
    UnknownMethod,
    UnreadableVerdict,
)
from assay.rpc.call import request_id
from assay.rpc.validation import InvalidMessage, Violations

DOMAIN = "assay"
DETAILS_KEY = "grpc-status-details-bin"
# For the caller's gRPC library. An error that we raised on purpose is an answer, not a lost connection; each program
# between client and model would otherwise ask four times, sixty-four times in all.
_DO_NOT_RETRY = ("grpc-retry-pushback-ms", "-1")
_STATUS_LOST = "Internal error from Core"
"""What grpc.aio reports in place of a server's status if a write fails before it has read that (grpc/grpc #36066)."""
RETRY_SECONDS = 1
"""RetryInfo of Busy where nothing better is known, in seconds: about one answer of a small model."""
_MESSAGE_CHARS = 500
# Details travel as metadata, of which a peer takes 8 kB.
_VIOLATIONS = 10

_KINDS: list[type[AssayError]] = [AssayError, *AssayError.__subclasses__()]
# A method that a peer does not know is no fault of our caller: `_from_code` says what it means.
_BY_REASON = {kind.reason: kind for kind in _KINDS if kind is not UnknownMethod}


_FROM_CODE: Mapping[grpc.StatusCode, tuple[type[AssayError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (ServiceUnavailable, "cannot be reached; it is down or restarting, try again"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (ServiceUnavailable, "did not answer in time; try again"),
    grpc.StatusCode.CANCELLED: (ServiceUnavailable, "cancelled the call; try again"),
    grpc.StatusCode.UNIMPLEMENTED: (
        ServiceUnavailable,
        "does not offer this call; it runs another version of Assay",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (OverLimit, "refused a message or its metadata as too large"),
    grpc.StatusCode.INVALID_ARGUMENT: (InvalidRequest, "refused the request"),
    grpc.StatusCode.DATA_LOSS: (UnreadableVerdict, "could not read the model's answer"),
}
"""What statuses mean that gRPC itself made."""


def status_of(error: AssayError) -> status_pb2.Status:
    """The error as google.rpc.Status."""
    packed = []
    for detail in _details(error):
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(
        code=grpc.StatusCode[error.grpc_status].value[0], message=error.message[:_MESSAGE_CHARS], details=packed
    )


async def abort_with(context: "grpc.aio.ServicerContext[Any, Any]", error: AssayError) -> NoReturn:
    """Ends the call with the error's status."""
    status = status_of(error)
    details = ((DETAILS_KEY, status.SerializeToString()), _DO_NOT_RETRY)
    await context.abort(grpc.StatusCode[error.grpc_status], status.message, details)
    raise AssertionError("abort always raises")


def error_from(rpc_error: grpc.aio.AioRpcError, peer: str = "the service") -> AssayError:
    """The error that the other side meant; by its reason, or by the status alone if the other side is not ours.

    `peer` names the other side in the sentence of a status without a reason.
    """
    status = _attached_status(rpc_error)
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for any_detail in status.details:
        if info.domain != DOMAIN:  # others may have put in theirs
            any_detail.Unpack(info)
        any_detail.Unpack(bad)
        any_detail.Unpack(retry)
    if info.domain == DOMAIN and info.reason in _BY_REASON:
        field = bad.field_violations[0].field if bad.field_violations else ""
        error = _BY_REASON[info.reason](status.message, field=field)
        error.request_id = info.metadata.get("request_id", "")
        error.retry_seconds = retry.retry_delay.ToMilliseconds() / 1000
        return error
    if rpc_error.code() is grpc.StatusCode.INTERNAL and rpc_error.details() == _STATUS_LOST:
        return ServiceUnavailable(f"{peer} ended the call before all was sent, and its reason was lost; try again")
    return _from_code(rpc_error.code(), peer)


def _details(error: AssayError) -> Iterator[Message]:
    id_pair = {"request_id": request_id.get()} if request_id.get() else {}
    yield error_details_pb2.ErrorInfo(domain=DOMAIN, reason=error.reason, metadata=id_pair)
    if id_pair:
        yield error_details_pb2.RequestInfo(**id_pair)
    pairs: Violations = ((error.field, error.message),) if error.field else ()
    if isinstance(error, InvalidMessage):
        pairs = error.violations[:_VIOLATIONS]
    if pairs:
        yield error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=field, description=words[:_MESSAGE_CHARS])
                for field, words in pairs
            ]
        )
    if isinstance(error, Busy | QuotaExceeded):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(1000 * (error.retry_seconds or RETRY_SECONDS)))
        yield retry


def _attached_status(rpc_error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """An empty one where nothing is attached that can be read."""
    attached = (value for key, value in rpc_error.trailing_metadata() or () if key == DETAILS_KEY)
    try:
        return status_pb2.Status.FromString(next(attached, b""))
    except DecodeError:
        return status_pb2.Status()


def _from_code(code: grpc.StatusCode, peer: str) -> AssayError:
    """For statuses that gRPC itself made: the peer is gone, frozen or of another version, or a limit was hit."""
    kind, says = _FROM_CODE.get(code, (AssayError, f"failed with {code.name}; its log says why"))
    return kind(f"{peer} {says}")
