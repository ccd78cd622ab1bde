"""Answers: events as server-sent events while they happen, or the result alone."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from assay.errors import AssayError
from gateway.http.body import Body, ClientGone
from gateway.http.calls import Events, counted
from gateway.http.problem import problem, problem_response


def as_json(message: Message) -> dict[str, Any]:
    """ProtoJSON with the names of the proto."""
    members: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return members


def wants_events(request: Request) -> bool:
    """True if the client asked for a stream of events."""
    return "text/event-stream" in request.headers.get("accept", "")


class Answer:
    """An ASGI response that makes its events while it sends them, and stops making them when the client leaves."""

    def __init__(self, method: str, body: Body, events: Callable[[], Events], *, as_stream: bool) -> None:
        """`method` names the call in log and metrics."""
        self._method, self._body, self._events, self._as_stream = method, body, events, as_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        respond = self._stream if self._as_stream else self._result
        with suppress(ClientGone):
            await _until_gone(respond(scope, receive, send), self._body)

    async def _result(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response
        try:
            with counted(self._method):
                async with aclosing(self._events()) as events:
                    last = None
                    async for event in events:
                        last = event
            assert last is not None, "a call ends with a result or an error"
            response = JSONResponse(as_json(last.result))
        except AssayError as error:
            response = problem_response(error)
        await response(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What fails before the first event has its own status; what fails later is the last event."""
        is_begun = False
        try:
            with counted(self._method):
                async with aclosing(self._events()) as events:
                    async for event in events:
                        if not is_begun:
                            is_begun = True
                            await _begin(send)
                        await _send(send, event_text(event.sequence, event.WhichOneof("event") or "", as_json(event)))
        except AssayError as error:
            if not is_begun:
                return await problem_response(error)(scope, receive, send)
            await _send(send, event_text(None, "problem", problem(error)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def event_text(number: int | None, kind: str, data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


async def _begin(send: Send) -> None:
    # Buffering by a proxy would hold back what is written to be read at once.
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _until_gone(work: Coroutine[Any, Any, None], body: Body) -> None:
    """Does the work, or ends it when the client is gone."""
    doing, watching = asyncio.create_task(work), asyncio.create_task(body.client_gone())
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        is_over = doing.done()
        doing.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)
    if is_over:
        doing.result()
