"""What can go wrong, in words for the person who has to act on it.

Each kind of error has exactly one gRPC status (by name, so that this file imports nothing) and a sentence that
names the culprit and the way out. Nothing of the implementation may be in the sentence: it reaches the client.
"""

from typing import ClassVar


class AssayError(Exception):
    """The root of every error that Assay raises on purpose."""

    grpc_status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "INTERNAL"
    """Stable upper-case name for programs (google.rpc.ErrorInfo.reason)."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        """Path of the request field at fault (google.rpc.BadRequest.FieldViolation.field); empty if none."""
        self.retry_seconds = 0.0
        """After which the same call may succeed; 0 where nothing is known of that."""
        self.request_id = ""
        """Of the call that failed, for readers of the server's logs; empty where it came from no server."""


class InvalidRequest(AssayError):
    """The request itself is wrong: an unknown attribute, an empty name, a first message without a config."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"


class UnknownMethod(AssayError):
    """There is no such method here: another program of Assay, another version, or no Assay at all was meant."""

    grpc_status = "UNIMPLEMENTED"
    reason = "UNKNOWN_METHOD"


class BadMedia(AssayError):
    """The bytes are not a picture or video that can be decoded: empty, truncated, random, no video stream."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "BAD_MEDIA"


class OverLimit(AssayError):
    """A stated limit was passed; the message says which limit and by how much."""

    grpc_status = "RESOURCE_EXHAUSTED"
    reason = "OVER_LIMIT"

    def __init__(self, message: str, *, field: str = "", budget: str = "") -> None:
        super().__init__(message, field=field)
        self.budget = budget
        """What was spent on a sound file that is long, by the name of its setting; empty for other limits. What was
        scored before it was spent is still good."""


class UriRefused(AssayError):
    """A URI whose scheme, host or address an operator does not allow; the message names the setting that could."""

    grpc_status = "PERMISSION_DENIED"
    reason = "URI_REFUSED"


class UriFailed(AssayError):
    """A server was reached at an allowed URI, and what it answered is no file."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "URI_FAILED"


class UriUnreachable(AssayError):
    """The server of an allowed URI is down, too slow, not who it should be, or broke off."""

    grpc_status = "UNAVAILABLE"
    reason = "URI_UNREACHABLE"


class UploadStalled(AssayError):
    """The client stopped sending before its upload was complete."""

    grpc_status = "DEADLINE_EXCEEDED"
    reason = "UPLOAD_STALLED"


class UnreadableVerdict(AssayError):
    """The model answered, but the answer holds no score that can be read. Counted, never dropped."""

    grpc_status = "DATA_LOSS"
    reason = "UNREADABLE_VERDICT"


class Busy(AssayError):
    """Every place is taken and the queue is full; the same call may succeed a little later."""

    grpc_status = "RESOURCE_EXHAUSTED"
    reason = "BUSY"


class QuotaExceeded(AssayError):
    """The tenant has used what it may use for now; the same call succeeds later."""

    grpc_status = "RESOURCE_EXHAUSTED"
    reason = "QUOTA"


class OutOfTime(AssayError):
    """The caller's deadline has passed, or leaves less time than an answer takes."""

    grpc_status = "DEADLINE_EXCEEDED"
    reason = "OUT_OF_TIME"


class Unauthenticated(AssayError):
    """The call carries no credentials that this server accepts. One sentence for all, so that nobody can probe."""

    grpc_status = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"

    def __init__(self, message: str = "", *, field: str = "") -> None:
        super().__init__(
            message or "this server accepts no call without valid credentials; send `authorization: Bearer TOKEN`",
            field=field,
        )


class PermissionDenied(AssayError):
    """The caller is known, and may not do this: another tenant's work, or a scope that its credentials lack."""

    grpc_status = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class ModelUnavailable(AssayError):
    """The model server cannot be reached, has died, or stopped writing tokens."""

    grpc_status = "UNAVAILABLE"
    reason = "MODEL_UNAVAILABLE"


class ServiceUnavailable(AssayError):
    """One of the services behind the gateway cannot be reached or died in the middle of a stream."""

    grpc_status = "UNAVAILABLE"
    reason = "SERVICE_UNAVAILABLE"


class CheckpointError(AssayError):
    """A checkpoint directory is missing a file, is misspelt, or contradicts itself."""

    grpc_status = "FAILED_PRECONDITION"
    reason = "BAD_CHECKPOINT"


class SettingsError(AssayError):
    """An environment variable is misspelt or holds a value out of range; the program does not start."""

    grpc_status = "FAILED_PRECONDITION"
    reason = "BAD_SETTINGS"
