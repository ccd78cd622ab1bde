"""REST for those without stubs: a file in the body, events or the result alone in the answer."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from google.protobuf import json_format
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from assay.errors import AssayError, InvalidRequest
from assay.rpc.validation import check
from assay.v1 import assay_pb2, score_pb2
from assay.wire import FORM_TO_WIRE
from gateway.http.body import Body
from gateway.http.calls import Caller, Calls, Events, counted
from gateway.http.problem import problem_response
from gateway.http.streaming import Answer, as_json, wants_events
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
