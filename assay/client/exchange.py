"""Exchange: the two directions of one streaming call. What comes is read while what is to be sent is sent."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call of a server, and how long it may take."""

    call: Any
    server: str
    last: str
    """Name of the event that ends it."""
    quiet_seconds: float
    """A server that was silent for so long after its first event counts as gone."""
    timeout_seconds: float

    async def events(self, requests: AsyncGenerator[Any, None] | None = None) -> AsyncGenerator[Any, None]:
        """Events up to the last one. Raises what the call failed with, or what `requests` did. Closing ends the call.

        Of the requests, if there are any, those behind the first wait until the server has admitted the call.
        """
        sending = asyncio.create_task(self._send(requests)) if requests else None
        try:
            async for event in self._received(sending):
                yield event
        finally:
            self.call.cancel()
            if sending:
                sending.cancel()
                # It holds the source, and must have let go of it before that is closed.
                await asyncio.wait([sending])

    async def _send(self, requests: AsyncGenerator[Any, None]) -> None:
        try:
            async with aclosing(requests):
                await self.call.write(await anext(requests))
                await self.call.initial_metadata()  # the server has admitted the call, or has ended it
                async for request in requests:
                    await self.call.write(request)
            await self.call.done_writing()
        except (grpc.RpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
            # The call has ended before all was sent, or while it was half-closed; its reader gets the reason.
            return
        except Exception:
            self.call.cancel()
            raise

    async def _received(self, sending: "asyncio.Task[None] | None") -> AsyncGenerator[Any, None]:
        has_begun = False
        while True:
            try:
                # Before the first event a call may stand in a queue, and a queue is quiet. Not wait_for: in Python 3.11
                # it swallows a cancellation that arrives together with the response.
                async with asyncio.timeout(self.quiet_seconds if has_begun else None):
                    response = await self.call.read()
            except TimeoutError:
                raise gone(self.server) from None
            except grpc.aio.AioRpcError as error:
                raise failure(error, self.server, self.timeout_seconds, has_begun) from error
            except asyncio.CancelledError:
                # The source failed, and its task cancelled the call; the reason is the source's own.
                if sending and sending.done() and not sending.cancelled() and (reason := sending.exception()):
                    raise reason from None
                raise
            if response is grpc.aio.EOF:
                raise ServiceUnavailable(
                    f"the server at {self.server} closed the stream without a final message; try again"
                )
            has_begun = True
            for event in response.events:
                is_last = event.HasField(self.last)
                if is_last:
                    await read_to_end(self.call)
                yield event
                if is_last:
                    return
