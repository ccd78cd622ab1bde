"""The edge that every call passes: messages are validated, errors become statuses, ends are logged and counted.

Handlers behind it raise AssayError and otherwise only translate. Calls of health and reflection are neither logged nor
counted.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from assay.errors import AssayError, InvalidRequest, OverLimit, UnknownMethod, UploadStalled
from assay.rpc import metrics
from assay.rpc.call import (
    AWAITS_ADMISSION,
    REQUEST_ID_KEY,
    check_metadata,
    identity,
    request_id,
    set_deadline,
    set_priority,
    set_request_id,
)
from assay.rpc.errors import abort_with
from assay.rpc.messages import Unreadable, reader
from assay.rpc.security import OPEN, Security
from assay.rpc.tracing import call_span
from assay.rpc.usage import begin_metering
from assay.rpc.validation import check

_log = logging.getLogger(__name__)

_NOT_OURS = ("/grpc.health.", "/grpc.reflection.")
_UNKNOWN = "unknown"
"""Counted under one name: strangers may invent as many as they like."""
_NAME_CHARS = 100
_DRAIN_SECONDS = 0.5
_MESSAGE_SECONDS = 300.0
"""How long the only message of a call may take: 4 MiB at a tenth of a megabit a second."""
WRITE_SECONDS = 30.0

Context = Any  # grpc.aio.ServicerContext; its two type parameters differ from method to method.
Handler = Any  # grpc.RpcMethodHandler
M = TypeVar("M")


class CancellableReader(AsyncIterator[M], Generic[M]):
    """Messages of a stream; a reader that waits for one may be cancelled, and the next reader gets it.

    grpc.aio goes on with a read whose reader was cancelled, refuses a second one, and then says that the
    stream has ended while its client is still sending.
    """

    def __init__(self, messages: AsyncIterable[M]) -> None:
        self._messages = messages
        self._iterator: AsyncIterator[M] | None = None
        self._read: asyncio.Task[M | None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> M:
        if self._read is None:
            self._read = asyncio.create_task(self._next())
        message = await asyncio.shield(self._read)
        if message is None:  # and stays: nothing comes after the end
            raise StopAsyncIteration
        self._read = None
        return message

    async def _next(self) -> M | None:
        if self._iterator is None:  # gRPC's warns of one that is never read
            self._iterator = aiter(self._messages)
        return await anext(self._iterator, None)

    def close(self) -> None:
        """No more is read."""
        if self._read is not None and not self._read.cancel() and not self._read.cancelled():
            self._read.exception()  # that the call had ended is no news


class Edge(grpc.aio.ServerInterceptor):
    """Goes first among interceptors: inner ones then see handlers as they were written."""

    def __init__(self, drain_bytes: int, write_seconds: float = WRITE_SECONDS, security: Security = OPEN) -> None:
        """`drain_bytes`: how much of an upload is read and dropped so that its sender gets to see the refusal.

        Who calls is checked by `security` before the first message is read.

        A client that reads nothing for `write_seconds` loses its call, and the model is free for others.
        """
        self._drain_bytes = drain_bytes
        self._write_seconds = write_seconds
        self._security = security

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(details)
        if handler is None:
            refusing = self._streaming(_Method(_UNKNOWN), _unknown(details.method))
            return grpc.stream_stream_rpc_method_handler(refusing, reader(Empty.FromString))
        method = _Method(details.method, is_one_message=not handler.request_streaming)
        inner = getattr(handler, f"{_kind(handler.request_streaming)}_{_kind(handler.response_streaming)}")
        wrapped = self._streaming if handler.response_streaming else self._unary
        # Every request is read as a stream: gRPC would never answer a call that ends before its only message.
        make = getattr(grpc, f"stream_{_kind(handler.response_streaming)}_rpc_method_handler")
        return make(wrapped(method, inner), reader(handler.request_deserializer), handler.response_serializer)

    def _unary(self, method: "_Method", inner: Callable[[Any, Context], Awaitable[Message]]) -> Callable[..., Any]:
        async def answer(requests: AsyncIterator[Any], context: Context) -> Message:
            async with self._guarded(method, requests, context) as incoming:
                return await inner(await method.request(incoming), context)

        return answer

    def _streaming(self, method: "_Method", inner: Callable[[Any, Context], Any]) -> Callable[..., Any]:
        # A coroutine that writes, not a generator: gRPC drops a generator whose client has gone without closing it,
        # and the model would write on until the garbage collector comes by.
        async def answer(requests: AsyncIterator[Any], context: Context) -> None:
            async with self._guarded(method, requests, context) as incoming:
                answering = inner(await method.request(incoming), context)
                if isinstance(answering, Awaitable):  # gRPC's own health service writes by itself
                    await answering
                    return
                begun, started = False, time.perf_counter()
                async with aclosing(answering) as responses:
                    async for response in responses:
                        if not begun and method.is_ours:
                            metrics.FIRST_EVENT_SECONDS.labels(method.name).observe(time.perf_counter() - started)
                        begun = True
                        await self._write(response, context)
                # Mostly nothing is left; but a video that a budget ended is judged while it is still being sent.
                await self._read_to_end(incoming)

        return answer

    @asynccontextmanager
    async def _guarded(
        self, method: "_Method", requests: AsyncIterator[Any], context: Context
    ) -> AsyncIterator[CancellableReader[Any]]:
        """Gives the messages so that what the handler leaves of them can still be read."""
        readable: CancellableReader[Any] = CancellableReader(requests)
        request_id.set("")
        begin_metering()
        set_deadline(context.time_remaining())
        said = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        try:
            with counted(method.name, said) if method.is_ours else nullcontext():
                self._admit(method, said, context)
                yield readable
        except AssayError as error:
            await self._refuse(error, readable, context)
        finally:
            readable.close()

    def _admit(self, method: "_Method", said: Mapping[str, str], context: Context) -> None:
        """Whose call it is, and under which id. InvalidRequest, Unauthenticated, PermissionDenied."""
        set_request_id(said.get(REQUEST_ID_KEY, ""))
        check_metadata(context.invocation_metadata())
        set_priority(said)
        spiffe_id = b"".join(context.auth_context().get("peer_spiffe_id", ())[:1]).decode("ascii", "replace")
        identity.set(self._security.identity_of(method.name, said.get("authorization", ""), spiffe_id))

    async def _write(self, response: Message, context: Context) -> None:
        try:
            async with asyncio.timeout(self._write_seconds):
                await context.write(response)
        except TimeoutError:
            raise OverLimit(f"no answer was read for {self._write_seconds:g} s, so the call was cancelled") from None

    async def _refuse(self, error: AssayError, requests: CancellableReader[Any], context: Context) -> None:
        if AWAITS_ADMISSION not in context.invocation_metadata():
            await self._read_to_end(requests)
        await abort_with(context, error)

    async def _read_to_end(self, requests: CancellableReader[Any]) -> None:
        # grpc.aio shows a client INTERNAL in place of our status if its next write fails before it reads the status
        # (grpc/grpc #36066). So what it is still sending is read and dropped first, within limits.
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await _drop(requests, self._drain_bytes)


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    is_one_message: bool = False

    @property
    def is_ours(self) -> bool:
        return not self.name.startswith(_NOT_OURS)

    async def request(self, incoming: CancellableReader[Any]) -> Any:
        """What the handler was written for: one message, or the stream of them. InvalidRequest if there is none."""
        messages = _valid(incoming)
        if not self.is_one_message:
            return messages
        async with aclosing(messages):
            try:
                async with asyncio.timeout(_MESSAGE_SECONDS):
                    message = await anext(messages, None)
            except TimeoutError:
                raise UploadStalled(f"the request did not come within {_MESSAGE_SECONDS:g} s; send it again") from None
        if message is None:
            raise InvalidRequest("the call ended before its request came; send one message, then half-close")
        return message


@contextmanager
def counted(
    method: str, metadata: Mapping[str, str], gone: tuple[type[BaseException], ...] = (asyncio.CancelledError,)
) -> Iterator[None]:
    """Counts, logs and traces a call of a span that `metadata` names, for as long as the block runs.

    An unexpected exception becomes an AssayError with an id, and the log has the rest; those of `gone` say that the
    client has left.
    """
    started, reason = time.perf_counter(), "INTERNAL"
    metrics.IN_FLIGHT.labels(method).inc()
    # Around the refusals too: an interceptor of OpenTelemetry's would have to stand behind the edge, and not see them.
    with call_span(method, metadata) as span:
        try:
            yield
            reason = "OK"
        except AssayError as error:
            reason = error.reason
            raise
        except gone:
            reason = "CANCELLED"
            raise
        except Exception as wrong:
            error_id = uuid.uuid4().hex[:12]
            _log.exception("unexpected error", extra={"facts": {"method": method, "error_id": error_id}})
            sentence = f"Something went wrong on our side; quote error id {error_id} when you report it."
            raise AssayError(sentence) from wrong
        finally:
            seconds = time.perf_counter() - started
            if span is not None:
                span.set_attributes({"request_id": request_id.get(), "reason": reason})
            metrics.IN_FLIGHT.labels(method).dec()
            metrics.ENDED.labels(method, reason).inc()
            metrics.SECONDS.labels(method).observe(seconds)
            facts = {"method": method, "reason": reason, "seconds": round(seconds, 4)}
            _log.info("call ended", extra={"facts": facts})


def _unknown(name: str) -> Callable[[Any, Context], AsyncGenerator[Message, None]]:
    async def refuse(requests: Any, context: Context) -> AsyncGenerator[Message, None]:
        raise UnknownMethod(f"there is no method {name[:_NAME_CHARS]} here; reflection lists those that there are")
        yield  # makes it a generator

    return refuse


def _kind(is_stream: bool) -> str:
    return "stream" if is_stream else "unary"


async def _valid(requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for request in requests:
        if isinstance(request, Unreadable):
            raise request.error
        check(request)
        yield request


async def _drop(requests: AsyncIterator[Any], num_bytes: int) -> None:
    async for request in requests:
        num_bytes -= request.ByteSize()
        if num_bytes <= 0:
            return
