"""The call that the current task answers: its request id, its deadline, who makes it; and what of it goes upstream."""

import asyncio
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from assay.errors import InvalidRequest, OutOfTime, PermissionDenied, ServiceUnavailable
from assay.rpc.tracing import TRACEPARENT, traceparent

REQUEST_ID_KEY = "x-request-id"
AWAITS_ADMISSION = ("assay-awaits-admission", "true")
"""Said by a client that sends no byte of its file before it has our initial metadata: a refusal needs no draining."""
MAX_METADATA_BYTES = 8 << 10
"""Of all keys and values of a call, counted as HTTP/2 does, with 32 bytes for each pair."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

SCOPES = ("score", "live", "uri")
Priority = Literal["live", "interactive", "batch"]
PRIORITIES: tuple[Priority, ...] = ("live", "interactive", "batch")
"""Classes of requests; the first goes first."""
_PRIORITY_KEY = "assay-priority-class"
"""Between our programs; the gateway takes it from the config alone."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a call, and what they may do."""

    name: str
    tenant: str = ""
    """Empty where nobody has a tenant of their own."""
    scopes: frozenset[str] = frozenset(SCOPES)
    names_tenants: bool = False
    """May name any tenant: one of our own programs, or a server that knows no identities."""

    def tenant_for(self, named: str) -> str:
        """The tenant of a call that names one, or none. PermissionDenied if it is not the caller's to name."""
        if self.names_tenants:
            return named or self.tenant
        if named not in ("", self.tenant):
            raise PermissionDenied("these credentials belong to another tenant; leave the tenant out", field="tenant")
        return self.tenant


ANYBODY = Identity("anybody", names_tenants=True)
"""Where a program knows no identities: on loopback, or behind something that does."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call that the current task answers; the same in every program."""
identity: ContextVar[Identity] = ContextVar("identity", default=ANYBODY)
"""Who makes the call that the current task answers."""
priority: ContextVar[Priority] = ContextVar("priority", default="interactive")
"""The class of the call that the current task answers."""
_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


def set_request_id(given: str) -> None:
    """The caller's id if it may stand in a log line, else one of ours. InvalidRequest for control characters."""
    # Before any refusal, so that each can be found in the log.
    request_id.set(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
    if _CONTROL.search(given):
        raise InvalidRequest("a request id has 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-'", field=REQUEST_ID_KEY)


def check_metadata(pairs: Iterable[tuple[str, str | bytes]]) -> None:
    """InvalidRequest if it is more than a call needs."""
    size = sum(len(key) + len(value) + 32 for key, value in pairs)
    if size > MAX_METADATA_BYTES:
        raise InvalidRequest(
            f"the metadata of a call has at most {MAX_METADATA_BYTES} bytes, got {size}; send less of it"
        )


def set_priority(metadata: Mapping[str, str]) -> None:
    """As the program that calls says; interactive if it says nothing."""
    named = metadata.get(_PRIORITY_KEY)
    priority.set(named if named in PRIORITIES else "interactive")


def set_deadline(seconds: float | None) -> None:
    """The current call has so many seconds left; None: as many as it takes."""
    _deadline.set(math.inf if seconds is None else time.monotonic() + seconds)


@asynccontextmanager
async def within(most_seconds: float, least_seconds: float = 0.0) -> AsyncIterator[None]:
    """Ends the block with OutOfTime at the current call's deadline, or after `most_seconds` where that is earlier.

    OutOfTime at once if less than `least_seconds` are left. What is asked of other programs ends with it.
    """
    _deadline.set(min(_deadline.get(), time.monotonic() + most_seconds))
    left = remaining_seconds()
    if left < least_seconds:
        raise OutOfTime(f"{left:.3f} s are left, and an answer takes {least_seconds:g} s at least; allow more time")
    limit = asyncio.timeout(left)
    try:
        async with limit:
            yield
    except (TimeoutError, ServiceUnavailable):
        # A program that was asked on our behalf had no more time than we have.
        if not limit.expired() and remaining_seconds() > 0:
            raise
        raise OutOfTime(f"no result within {left:.1f} s; allow more time, or send a smaller file") from None


def remaining_seconds() -> float:
    """Until the current call's deadline, never below 0; infinite if it has none."""
    return max(0.0, _deadline.get() - time.monotonic())


def upstream_metadata() -> tuple[tuple[str, str], ...]:
    """What goes with every call that is made for the current one: its id, its span and its class."""
    pairs = ((REQUEST_ID_KEY, request_id.get()), (TRACEPARENT, traceparent()), (_PRIORITY_KEY, priority.get()))
    return tuple(pair for pair in pairs if pair[1])


def upstream_timeout(wanted: float | None) -> float | None:
    """Seconds that a call made for the current one may take: as wanted, but no more than is left."""
    left = remaining_seconds()
    if math.isinf(left):
        return wanted
    return left if wanted is None else min(wanted, left)
