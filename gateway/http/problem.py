"""Errors as application/problem+json (RFC 9457): the same reason and sentence as over gRPC."""

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from assay.errors import AssayError, Busy, QuotaExceeded, Unauthenticated
from assay.rpc.call import request_id
from assay.rpc.errors import RETRY_SECONDS

STATUS: Mapping[str, int] = {
    "INVALID_REQUEST": 400,
    "BAD_MEDIA": 400,
    "URI_FAILED": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "URI_REFUSED": 403,
    "FOREIGN_ORIGIN": 403,
    "UPLOAD_NOT_FOUND": 404,
    "NO_SUCH_PATH": 404,
    "UPLOAD_STALLED": 408,
    "UPLOAD_CONFLICT": 409,
    "OVER_LIMIT": 413,
    "WRONG_TYPE": 415,
    "WRONG_HOST": 421,
    "UNREADABLE_VERDICT": 502,
    "OUT_OF_TIME": 504,
    "QUOTA": 429,
    "BUSY": 503,
    "MODEL_UNAVAILABLE": 503,
    "SERVICE_UNAVAILABLE": 503,
    "URI_UNREACHABLE": 503,
    "BAD_CHECKPOINT": 503,
    "SPOOL_FULL": 507,
}
"""By reason; whatever is not listed is ours: 500."""


def problem(error: AssayError) -> dict[str, Any]:
    """The members of the problem document."""
    status = status_of(error)
    members = {"type": "about:blank", "title": error.reason, "status": status, "detail": error.message}
    members |= {"field": error.field} if error.field else {}
    return members | ({"request_id": request_id.get()} if request_id.get() else {})


def status_of(error: AssayError) -> int:
    """The HTTP status of an error."""
    return STATUS.get(error.reason, 500)


def problem_response(error: AssayError) -> JSONResponse:
    """The answer to a request that failed before anything was said."""
    wait = (
        {"retry-after": str(math.ceil(error.retry_seconds or RETRY_SECONDS))}
        if isinstance(error, Busy | QuotaExceeded)
        else {}
    )
    if isinstance(error, Unauthenticated):
        wait = {"www-authenticate": "Bearer"}
    return JSONResponse(problem(error), status_of(error), wait, media_type="application/problem+json")
