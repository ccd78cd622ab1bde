"""REST for those without stubs: a file in the body; in the answer server-sent events while they happen, or the result
alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from assay.errors import AssayError, InvalidRequest
from assay.rpc.validation import check
from assay.v1 import assay_pb2, score_pb2
from assay.wire import FORM_TO_WIRE
from gateway.http.body import Body, ClientGone
from gateway.http.calls import Caller, Calls, Events, counted
from gateway.http.problem import problem, problem_response
from gateway.settings import GatewaySettings

KNOWN = ("form", "attributes", "tenant", "config")
"""Query parameters."""
_SMALL_BYTES = 64 << 10
# `curl --data-binary` calls every body a form unless it is given another name.
_UNDECLARED = ("application/octet-stream", "application/x-www-form-urlencoded")


class WrongType(AssayError):
    """The body is declared as something that is no picture or video."""

    grpc_status = "INVALID_ARGUMENT"
    reason = "WRONG_TYPE"


class Rest:
    """The routes under /v1 that take a file or an address and score it."""

    def __init__(self, calls: Calls, settings: GatewaySettings) -> None:
        self._calls, self._settings = calls, settings

    def routes(self) -> list[Route]:
        """For starlette."""
        return [
            Route("/v1/images:score", self._image, methods=["POST"]),
            Route("/v1/videos:score", self._video, methods=["POST"]),
            Route("/v1/uris:score", self._uri, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
        ]

    async def _image(self, request: Request) -> Any:
        return self._file(request, "image", self._settings.limits.max_image_bytes, self._calls.image)

    async def _video(self, request: Request) -> Any:
        return self._file(request, "video", self._settings.limits.max_video_bytes, self._calls.video)

    def _file(
        self,
        request: Request,
        kind: str,
        max_bytes: int,
        score: Callable[[assay_pb2.ScoreConfig, AsyncIterator[bytes], Caller], Events],
    ) -> Any:
        try:
            _refuse_other_types(request, kind)
            config = config_of(request.query_params)
        except AssayError as error:
            return problem_response(error)
        body = Body(request, max_bytes, self._settings.upload.idle_seconds)
        method, caller = f"POST {request.url.path}", caller_of(request)
        return Answer(method, body, lambda: score(config, body.chunks(), caller), as_stream=wants_events(request))

    async def _uri(self, request: Request) -> Any:
        body = Body(request, _SMALL_BYTES, self._settings.upload.idle_seconds)
        try:
            config, uri = config_of(request.query_params), _uri_in(await body.whole())
        except AssayError as error:
            return problem_response(error)
        method = f"POST {request.url.path}"
        return Answer(
            method, body, lambda: self._calls.uri(config, uri, caller_of(request)), as_stream=wants_events(request)
        )

    async def _models(self, request: Request) -> JSONResponse:
        try:
            with counted("GET /v1/models"):
                return JSONResponse({"models": [as_json(await self._calls.model())]})
        except AssayError as error:
            return problem_response(error)


def caller_of(request: Request) -> Caller:
    """The peer, in gRPC's words."""
    if request.client is None:
        return Caller()
    host, port = request.client
    return Caller(f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}")


def _refuse_other_types(request: Request, kind: str) -> None:
    declared = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if declared not in _UNDECLARED and not declared.startswith(f"{kind}/"):
        raise WrongType(f"the body is declared as {declared!r}; send {kind}/… or application/octet-stream")


def _uri_in(body: bytes) -> str:
    """The address that a text body consists of."""
    try:
        return body.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise InvalidRequest("the body is no UTF-8 text; send the address of the file alone", field="uri") from None


def config_of(query: QueryParams, *others: str) -> assay_pb2.ScoreConfig:
    """How to score. `config` is a whole ScoreConfig as ProtoJSON; `form`, `attributes` (comma-separated) and `tenant`
    go before what it says. InvalidRequest names the parameter that is unknown or wrong; `others` are known as well."""
    for name in query:
        if name not in (*KNOWN, *others):
            raise InvalidRequest(f"{name!r} is no parameter; known are {', '.join((*KNOWN, *others))}", field=name)
    config = assay_pb2.ScoreConfig()
    if written := query.get("config"):
        config = parsed(written, config, "config")
    if form := query.get("form"):
        config.form = _form(form)
    if "attributes" in query:
        del config.attributes[:]
        config.attributes.extend(name for name in query["attributes"].split(",") if name)
    if tenant := query.get("tenant"):
        config.tenant = tenant
    check(config)
    return config


def parsed(written: str, message: assay_pb2.ScoreConfig, field: str) -> assay_pb2.ScoreConfig:
    """The message that stands in a text of JSON. InvalidRequest."""
    try:
        json_format.Parse(written, message)
    except (json_format.ParseError, UnicodeError, RecursionError) as wrong:
        raise InvalidRequest(f"{field} is no ScoreConfig in JSON: {str(wrong)[:200]}", field=field) from None
    return message


def _form(name: str) -> "score_pb2.AnswerForm.ValueType":
    for known, value in FORM_TO_WIRE.items():
        if name == known:
            return value
    raise InvalidRequest(f"form {name!r} is not known; use one of {', '.join(FORM_TO_WIRE)}", field="form")


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
