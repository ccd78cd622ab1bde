"""The end of a call: an AssayError with a sentence for the person who made it, or nothing more to read."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc

from assay.errors import AssayError, ServiceUnavailable
from assay.rpc.errors import DETAILS_KEY, error_from

_STATUS_SECONDS = 5.0
"""A server has read what is left of an upload before it sends its status, for half a second at most."""


class NoServer(ServiceUnavailable):
    """No Assay server answers at the address, or it went away in the middle of a call."""

    reason = "NO_SERVER"


class TookTooLong(AssayError):
    """The call ran into the client's own time limit."""

    grpc_status = "DEADLINE_EXCEEDED"
    reason = "TOOK_TOO_LONG"


def failure(error: grpc.aio.AioRpcError, server: str, timeout_seconds: float, has_begun: bool) -> AssayError:
    """What went wrong with a call to `server`; `has_begun` if it had sent an event."""
    if _is_from_assay(error) and error.code() is not grpc.StatusCode.UNIMPLEMENTED:
        return error_from(error)
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return TookTooLong(f"no score within {timeout_seconds:g} s; allow more time, or send a smaller file")
        case grpc.StatusCode.UNIMPLEMENTED:
            return NoServer(f"what answers at {server} is not an Assay gateway; check the address")
        # A server that shuts down cancels the calls that it cannot finish.
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return gone(server) if has_begun else unreachable(server)
    return error_from(error, f"the Assay server at {server}")


async def read_to_end(call: Any) -> None:
    """Waits for the status behind the last message, so that the server counts a success and no cancellation.

    What was received is good whatever comes, so this never raises, nor does it wait for long.
    """
    with suppress(TimeoutError, grpc.aio.AioRpcError):
        async with asyncio.timeout(_STATUS_SECONDS):
            while await call.read() is not grpc.aio.EOF:
                pass


def unreachable(server: str) -> NoServer:
    return NoServer(f"no Assay server answers at {server}; start one with `assay up`, or give the address of another")


def gone(server: str) -> NoServer:
    return NoServer(f"the Assay server at {server} went away before the score was known; try again")


def _is_from_assay(error: grpc.aio.AioRpcError) -> bool:
    """Whether a server wrote this status: those that gRPC makes on this side carry no details."""
    metadata = error.trailing_metadata() or ()
    return any(key == DETAILS_KEY for key, _ in metadata)
