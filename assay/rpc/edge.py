"""The edge that every call passes: messages are validated, errors become statuses, ends are logged and counted.

Handlers behind it raise AssayError and otherwise only translate. Health and reflection are let through untouched.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import grpc
from google.protobuf.message import Message

from assay.errors import AssayError, OverLimit
from assay.rpc import metrics
from assay.rpc.errors import abort_with
from assay.rpc.incoming import Incoming
from assay.rpc.logs import request_id
from assay.rpc.validation import check

_log = logging.getLogger(__name__)

_NOT_OURS = ("/grpc.health.", "/grpc.reflection.")
_DRAIN_SECONDS = 0.5
WRITE_SECONDS = 30.0

Context = Any  # grpc.aio.ServicerContext; its two type parameters differ from method to method.
Handler = Any  # grpc.RpcMethodHandler


class Edge(grpc.aio.ServerInterceptor):
    """Goes first among interceptors: inner ones then see handlers as they were written."""

    def __init__(self, drain_bytes: int, write_seconds: float = WRITE_SECONDS) -> None:
        """`drain_bytes`: how much of an upload is read and dropped so that its sender gets to see the refusal.

        A client that reads nothing for `write_seconds` loses its call, and the model is free for others.
        """
        self._drain_bytes = drain_bytes
        self._write_seconds = write_seconds

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        handler = await continuation(details)
        if handler is None or details.method.startswith(_NOT_OURS):
            return handler
        kind = f"{_kind(handler.request_streaming)}_{_kind(handler.response_streaming)}"
        wrapped = self._streaming if handler.response_streaming else self._unary
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            wrapped(details.method, getattr(handler, kind)), handler.request_deserializer, handler.response_serializer
        )

    def _unary(self, method: str, inner: Callable[[Any, Context], Awaitable[Message]]) -> Callable[..., Any]:
        async def answer(request: Any, context: Context) -> Message:
            async with self._guarded(method, request, context) as readable:
                return await inner(_valid(readable), context)

        return answer

    def _streaming(
        self, method: str, inner: Callable[[Any, Context], AsyncGenerator[Message, None]]
    ) -> Callable[..., Any]:
        # A coroutine that writes, not a generator: gRPC drops a generator whose client has gone without closing it,
        # and the model would write on until the garbage collector comes by.
        async def answer(request: Any, context: Context) -> None:
            async with self._guarded(method, request, context) as readable:
                async with aclosing(inner(_valid(readable), context)) as responses:
                    async for response in responses:
                        await self._write(response, context)
                # Mostly nothing is left; but a video that a budget ended is judged while it is still being sent.
                await self._read_to_end(readable)

        return answer

    @asynccontextmanager
    async def _guarded(self, method: str, request: Any, context: Context) -> AsyncIterator[Any]:
        """Gives the request, where it is many messages so that what the handler leaves can still be read."""
        readable = request if isinstance(request, Message) else Incoming(request)
        started = time.perf_counter()
        reason = "INTERNAL"
        request_id.set("")
        metrics.IN_FLIGHT.labels(method).inc()
        try:
            yield readable
            reason = "OK"
        except AssayError as error:
            reason = error.reason
            await self._refuse(error, readable, context)
        except asyncio.CancelledError:
            reason = "CANCELLED"
            raise
        except grpc.aio.AbortError:
            raise
        except Exception:  # noqa: BLE001 the last line of defence; it logs everything and tells the client nothing
            error_id = uuid.uuid4().hex[:12]
            _log.exception("unexpected error", extra={"facts": {"method": method, "error_id": error_id}})
            sentence = f"Something went wrong on our side; quote error id {error_id} when you report it."
            await self._refuse(AssayError(sentence), readable, context)
        finally:
            if isinstance(readable, Incoming):
                readable.close()
            seconds = time.perf_counter() - started
            metrics.IN_FLIGHT.labels(method).dec()
            metrics.ENDED.labels(method, reason).inc()
            metrics.SECONDS.labels(method).observe(seconds)
            _log.info("call ended", extra={"facts": {"method": method, "reason": reason, "seconds": round(seconds, 4)}})

    async def _write(self, response: Message, context: Context) -> None:
        try:
            async with asyncio.timeout(self._write_seconds):
                await context.write(response)
        except TimeoutError:
            raise OverLimit(f"no answer was read for {self._write_seconds:g} s, so the call was given up") from None

    async def _refuse(self, error: AssayError, request: Any, context: Context) -> None:
        await self._read_to_end(request)
        await abort_with(context, error)

    async def _read_to_end(self, request: Any) -> None:
        # grpc.aio shows a client INTERNAL in place of our status if its next write fails before it reads the status
        # (grpc/grpc #36066). So what it is still sending is read and dropped first, within limits.
        if isinstance(request, Incoming):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await _drop(request, self._drain_bytes)


def _kind(is_stream: bool) -> str:
    return "stream" if is_stream else "unary"


def _valid(request: Any) -> Any:
    if isinstance(request, Message):
        check(request)
        return request
    return _valid_stream(request)


async def _valid_stream(requests: AsyncIterator[Message]) -> AsyncGenerator[Message, None]:
    async for request in requests:
        check(request)
        yield request


async def _drop(requests: AsyncIterator[Message], num_bytes: int) -> None:
    async for request in requests:
        num_bytes -= request.ByteSize()
        if num_bytes <= 0:
            return
