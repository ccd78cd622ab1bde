"""Uploads: slices by HTTP PUT, everything else by assay.v1.UploadService; and scorings of them, whose answer goes on
while a page is reloaded, and is sent again from any event on."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assay.errors import AssayError, InvalidRequest
from assay.magic import is_picture
from assay.rpc.call import identity
from assay.v1 import upload_pb2
from gateway.fetching import with_head
from gateway.http.body import Body, ClientGone
from gateway.http.calls import SPOOL, Calls, Events, counted
from gateway.http.problem import problem_response
from gateway.http.rest import as_json
from gateway.http.spool import Spool, SpooledUpload
from gateway.upload import UploadClock, UploadLimits

DIGEST_HEADER = "repr-digest"
"""RFC 9530: `sha-256=:BASE64:` over the slice."""


Make = Callable[[], AsyncGenerator[Any, None]]


class Scoring:
    """One call whose events are stored; it is cancelled once nobody has listened to it for a while."""

    def __init__(self, method: str, make: Make, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._events: list[Any] = []
        self._failure: AssayError | None = None
        self._is_over = False
        self._listeners = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._run(method, make))

    async def events(self, after: int = 0) -> AsyncGenerator[Any, None]:
        """Events behind the first `after` ones, those to come included. Raises the AssayError that ends the call."""
        self._join()
        try:
            while True:
                while after < len(self._events):
                    yield self._events[after]
                    after += 1
                if self._is_over:
                    if self._failure:
                        raise self._failure
                    return
                await self._more_than(after)
        finally:
            self._leave()

    async def _more_than(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: count < len(self._events) or self._is_over)

    async def cancel(self) -> None:
        """Ends the call."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, method: str, make: Make) -> None:
        try:
            with counted(method):
                async with aclosing(make()) as events:
                    async for event in events:
                        self._events.append(event)
                        await self._tell()
        except AssayError as error:
            self._failure = error
        except asyncio.CancelledError:
            self._failure = AssayError("the call was cancelled, as nobody listened to it; score the upload again")
            raise
        finally:
            self._is_over = True
            await asyncio.shield(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _join(self) -> None:
        self._listeners += 1
        if self._leaving:
            self._leaving.cancel()

    def _leave(self) -> None:
        self._listeners -= 1
        if not self._listeners and not self._is_over:
            self._leaving = asyncio.get_running_loop().call_later(self._patience_seconds, self._task.cancel)


class Scorings:
    """The scorings of all uploads, by upload and config: asking again joins the call that is under way or over."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._by_upload: dict[str, dict[bytes, Scoring]] = {}

    def of(self, upload_id: str, config: bytes, method: str, make: Make) -> Scoring:
        """The scoring of an upload under a serialised config, begun if there is none."""
        scorings = self._by_upload.setdefault(upload_id, {})
        if config not in scorings:
            scorings[config] = Scoring(method, make, self._patience_seconds)
        return scorings[config]

    async def forget(self, upload_id: str) -> None:
        """Ends what is under way for an upload."""
        for scoring in self._by_upload.pop(upload_id, {}).values():
            await scoring.cancel()

    async def close(self) -> None:
        """Ends all."""
        for upload_id in list(self._by_upload):
            await self.forget(upload_id)


class UploadService:
    """assay.v1.UploadService; raises AssayError, like every servicer."""

    def __init__(self, calls: Calls, spool: Spool, scorings: Scorings) -> None:
        self._calls, self._spool, self._scorings = calls, spool, scorings

    async def CreateUpload(self, request: upload_pb2.CreateUploadRequest, context: Any) -> Any:  # noqa: N802
        upload = self._spool.create(request.size_bytes or None, identity.get().tenant)
        return upload_pb2.CreateUploadResponse(upload=to_wire(upload))

    async def GetUpload(self, request: upload_pb2.GetUploadRequest, context: Any) -> Any:  # noqa: N802
        return upload_pb2.GetUploadResponse(upload=to_wire(self._spool.get(request.upload_id, identity.get().tenant)))

    async def FinishUpload(self, request: upload_pb2.FinishUploadRequest, context: Any) -> Any:  # noqa: N802
        upload = self._spool.get(request.upload_id, identity.get().tenant)
        await upload.finish()
        return upload_pb2.FinishUploadResponse(upload=to_wire(upload))

    async def DeleteUpload(self, request: upload_pb2.DeleteUploadRequest, context: Any) -> Any:  # noqa: N802
        upload = self._spool.get(request.upload_id, identity.get().tenant)
        await self._scorings.forget(upload.upload_id)
        self._spool.forget(upload)
        return upload_pb2.DeleteUploadResponse()

    async def ScoreUpload(  # noqa: N802
        self, request: upload_pb2.ScoreUploadRequest, context: Any
    ) -> AsyncGenerator[upload_pb2.ScoreUploadResponse, None]:
        upload = self._spool.get(request.upload_id, identity.get().tenant)
        config = request.config.SerializeToString(deterministic=True)
        scoring = self._scorings.of(
            upload.upload_id, config, "ScoreUpload", lambda: self._score(upload, request.config)
        )
        async with aclosing(scoring.events(request.after_sequence)) as events:
            async for event in events:
                yield upload_pb2.ScoreUploadResponse(events=[event])

    async def ScoreLiveUpload(  # noqa: N802
        self, request: upload_pb2.ScoreLiveUploadRequest, context: Any
    ) -> AsyncGenerator[upload_pb2.ScoreLiveUploadResponse, None]:
        upload = self._spool.get(request.upload_id, identity.get().tenant)
        async with aclosing(self._calls.live(request.config, upload.chunks(), SPOOL)) as responses:
            async for response in responses:
                yield upload_pb2.ScoreLiveUploadResponse(response=response)

    async def _score(self, upload: SpooledUpload, config: Any) -> Events:
        """A picture or a video, as its first bytes say."""
        async with aclosing(upload.chunks()) as chunks:
            head, whole = await with_head(chunks)
            score = self._calls.image if is_picture(head) else self._calls.video
            async with aclosing(score(config, whole, SPOOL)) as events:
                async for event in events:
                    yield event


class Slices:
    """The routes by which the bytes come."""

    def __init__(self, spool: Spool, limits: UploadLimits) -> None:
        self._spool, self._limits = spool, limits

    def routes(self) -> list[Route]:
        """For starlette; one for both methods, which it then names to a client that tries a third."""
        return [Route("/v1/uploads/{upload_id}", self._answer, methods=["PUT", "GET"])]

    async def _answer(self, request: Request) -> Response:
        return await (self._put(request) if request.method == "PUT" else self._get(request))

    async def _put(self, request: Request) -> Response:
        body = Body(request, self._spool.limits.max_upload_bytes, self._limits.idle_seconds)
        try:
            upload = self._spool.get(request.path_params["upload_id"], identity.get().tenant)
            async with aclosing(UploadClock(self._limits).timed(body.chunks())) as chunks:
                await upload.write(_offset(request), chunks, _sha256(request))
            return JSONResponse(as_json(to_wire(upload)))
        except ClientGone:
            return Response(status_code=499)  # nobody reads it
        except AssayError as error:
            return problem_response(error)

    async def _get(self, request: Request) -> Response:
        try:
            return JSONResponse(
                as_json(to_wire(self._spool.get(request.path_params["upload_id"], identity.get().tenant)))
            )
        except AssayError as error:
            return problem_response(error)


def to_wire(upload: SpooledUpload) -> upload_pb2.Upload:
    """The upload as the contract tells it."""
    return upload_pb2.Upload(
        upload_id=upload.upload_id,
        received_bytes=upload.received_bytes,
        size_bytes=upload.size_bytes or 0,
        is_complete=upload.is_complete,
    )


def _offset(request: Request) -> int:
    written = request.query_params.get("offset", "")
    if not (written.isascii() and written.isdigit() and len(written) <= 16):
        raise InvalidRequest(
            f"offset {written[:20]!r} is no number of bytes; say where the slice begins", field="offset"
        )
    return int(written)


def _sha256(request: Request) -> bytes | None:
    written = request.headers.get(DIGEST_HEADER)
    if written is None:
        return None
    try:
        algorithm, _, value = written.partition("=")
        if algorithm.strip().lower() != "sha-256":
            raise ValueError
        return base64.b64decode(value.strip().removeprefix(":").removesuffix(":"), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidRequest(f"{DIGEST_HEADER} must be sha-256=:BASE64: (RFC 9530)", field=DIGEST_HEADER) from None
