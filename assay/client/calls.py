"""AsyncClient: one connection to a server; each call uploads a file while it reads the events."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Self, TypedDict, Unpack

from assay.attribute import KINDS
from assay.client.connection import Credentials, client_span, metadata, open_channel
from assay.client.exchange import Exchange, gone
from assay.client.judgement import Judgement, judgement_from_wire
from assay.client.live import LiveSource, LiveWindow, live_config, live_requests, live_window
from assay.client.upload import Source, can_be_read_again, chunks, is_uri
from assay.errors import AssayError, Busy, InvalidRequest, QuotaExceeded
from assay.magic import is_picture
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2, live_pb2_grpc, score_pb2
from assay.video import VideoOptions
from assay.wire import FORM_TO_WIRE, video_options_to_wire

DEFAULT_SERVER = "127.0.0.1:50051"
BUSY_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""How long to wait before a call that was refused as BUSY or QUOTA is made again, each give or take a half, where the
server does not say how long."""
LONGEST_RETRY_SECONDS = 60.0
"""A server that says more is believed at once."""

Metadata = tuple[tuple[str, str], ...]
Outcome = Judgement | AssayError | OSError
"""Of one file among many."""

PRIORITIES = {
    name: assay_pb2.PriorityClass.Value(f"PRIORITY_CLASS_{name.upper()}") for name in ("live", "interactive", "batch")
}
_NO_CREDENTIALS = Credentials()
_AS_SERVED = VideoOptions()
"""Everything as the server's operator has set it."""


class Question(TypedDict, total=False):
    """What a call asks for; what is not given is as `config_of` has it."""

    form: str
    """direct, regular or natural."""
    attributes: Sequence[str]
    """Names to report, all if empty."""
    tenant: str
    """Whose composite weights to use, none if empty."""
    distributions: bool
    """False: scores come without their digits' probabilities (`Score.by_prefix`)."""


class FileQuestion(Question, total=False):
    """What a call about a file asks for."""

    video: VideoOptions
    """How to sample a video."""


class AsyncClient:
    """Scores files at one server. Calls may run at the same time; each has its own outcome."""

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        timeout_seconds: float = 1800.0,
        quiet_seconds: float = 60.0,
        credentials: Credentials = _NO_CREDENTIALS,
        priority: str = "interactive",
    ) -> None:
        """`server` is HOST:PORT; nothing is sent before the first call. `credentials`: TLS and a token, if it asks for
        them; SettingsError names a file of theirs that cannot be read. `priority` is live, interactive or batch: who
        goes first where requests wait, up to what the credentials allow; InvalidRequest for another.

        A call that takes longer than `timeout_seconds` raises TookTooLong. A server sends something every 10 s; one
        that was silent for `quiet_seconds` after its first event counts as gone.
        """
        self.server = server
        self._timeout_seconds = timeout_seconds
        self._quiet_seconds = quiet_seconds
        if priority not in PRIORITIES:
            raise InvalidRequest(f"unknown priority {priority!r}; known are {', '.join(PRIORITIES)}", field="priority")
        self._credentials = credentials
        self._priority = PRIORITIES[priority]
        self._channel = open_channel(server, credentials)
        self._stub = assay_pb2_grpc.AssayServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends calls in flight and closes the connection."""
        await self._channel.close()

    async def score(self, source: Source, **asked: Unpack[FileQuestion]) -> Judgement:
        """The judgement of one file; raises as `events` does."""
        windows: list[score_pb2.WindowResult] = []
        async with aclosing(self.events(source, **asked)) as events:
            async for event in events:
                if event.HasField("window"):
                    windows.append(event.window)
                if event.HasField("result"):
                    return judgement_from_wire(event.result, windows)
        raise gone(self.server)

    async def score_many(
        self,
        sources: Sequence[Source | Callable[[], Source]],
        *,
        concurrency: int = 4,
        on_outcome: Callable[[int, Outcome], None] = lambda place, outcome: None,
        **asked: Unpack[FileQuestion],
    ) -> list[Outcome]:
        """The outcome of every file, in order: its judgement, or the error that `score` would have raised.

        A source may be a function that makes one: it is called in a thread, in its turn, so that what it makes is in
        memory only then. `on_outcome` is called with the place of each file and its outcome as soon as that is known;
        what it raises ends everything, in an ExceptionGroup.
        """
        limit = asyncio.Semaphore(concurrency)

        async def one(place: int, source: Source | Callable[[], Source]) -> Outcome:
            outcome: Outcome
            async with limit:
                try:
                    made = await asyncio.to_thread(source) if callable(source) else source
                    outcome = await self.score(made, **asked)
                except (AssayError, OSError) as error:
                    outcome = error
            on_outcome(place, outcome)
            return outcome

        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(one(place, source)) for place, source in enumerate(sources)]
        return [call.result() for call in calls]

    async def events(self, source: Source, **asked: Unpack[FileQuestion]) -> AsyncGenerator[event_pb2.ScoreEvent, None]:
        """What happens while the file is judged: `started` first, `result` last. Closing the generator cancels.

        Raises OSError (the file cannot be read) or an AssayError: InvalidRequest, BadMedia, OverLimit,
        UnreadableVerdict, Busy, ModelUnavailable, ServiceUnavailable, NoServer, TookTooLong; for an address also
        UriRefused, UriFailed, UriUnreachable.
        """
        config = config_of(**asked)
        config.priority_class = self._priority
        with client_span("assay score", self.server) as span:
            async with aclosing(self._tries(source, config, span)) as events:
                async for event in events:
                    yield event

    async def _tries(
        self, source: Source, config: assay_pb2.ScoreConfig, span: Any
    ) -> AsyncGenerator[event_pb2.ScoreEvent, None]:
        """Events of the first call that is not refused as BUSY or QUOTA, or of the last."""
        has_begun = False
        for wait_seconds in (*BUSY_WAITS_SECONDS, None):
            try:
                along = metadata(self._credentials, span=span)
                by_uri = is_uri(source)
                call = self._call_by_uri(str(source), config, along) if by_uri else self._call(source, config, along)
                async with aclosing(call) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except (Busy, QuotaExceeded) as refused:
                # Events cannot be taken back, so a call that has begun is not made again.
                if has_begun or wait_seconds is None or not can_be_read_again(source):
                    raise
                if (said := refused.retry_seconds) > LONGEST_RETRY_SECONDS:
                    raise
            # Not earlier than the server says, and not all at once.
            await asyncio.sleep(said * random.uniform(1.0, 1.5) if said else wait_seconds * random.uniform(0.5, 1.5))

    async def live(
        self,
        source: LiveSource,
        *,
        window_seconds: float = 0.0,
        hop_seconds: float = 0.0,
        waits: bool = False,
        **asked: Unpack[Question],
    ) -> AsyncGenerator[LiveWindow, None]:
        """The windows of a live stream as they are judged, for as long as the source goes on.

        0 seconds leave the window to the model, and the hop to the window. Where the model is slower than the stream
        the oldest windows are left out, or, if it `waits`, the source is read more slowly. Raises as `events` does.
        """
        wanted = config_of(**asked)
        wanted.priority_class = self._priority
        config = live_config(wanted, window_seconds, hop_seconds, waits)
        with client_span("assay live", self.server) as span:
            along = metadata(self._credentials, span=span)
            call = live_pb2_grpc.LiveServiceStub(self._channel).ScoreLive(metadata=along)
            exchange = Exchange(call, self.server, "ended", self._quiet_seconds, math.inf)
            async with aclosing(exchange.events(live_requests(source, config))) as events:
                async for event in events:
                    if event.HasField("window"):
                        yield live_window(event.window)

    async def _call(
        self, source: Source, config: assay_pb2.ScoreConfig, along: Metadata
    ) -> AsyncGenerator[event_pb2.ScoreEvent, None]:
        async with aclosing(chunks(source)) as pieces:
            first = await anext(pieces)
            call, request = self._opened(first, along)
            async with aclosing(self._exchange(call).events(_requests(request, config, first, pieces))) as events:
                async for event in events:
                    yield event

    def _call_by_uri(
        self, uri: str, config: assay_pb2.ScoreConfig, along: Metadata
    ) -> AsyncGenerator[event_pb2.ScoreEvent, None]:
        request = assay_pb2.ScoreUriRequest(config=config, uri=uri)
        return self._exchange(self._stub.ScoreUri(request, timeout=self._timeout_seconds, metadata=along)).events()

    def _exchange(self, call: Any) -> Exchange:
        return Exchange(call, self.server, "result", self._quiet_seconds, self._timeout_seconds)

    def _opened(self, first: bytes, along: Metadata) -> tuple[Any, Any]:
        """The call for a file that begins like this, and the class of its requests."""
        allowed: Any = {"timeout": self._timeout_seconds, "metadata": along}
        if is_picture(first):
            return self._stub.StreamImage(**allowed), assay_pb2.StreamImageRequest
        return self._stub.StreamVideo(**allowed), assay_pb2.StreamVideoRequest


async def _requests(
    request: Any, config: assay_pb2.ScoreConfig, first: bytes, rest: AsyncGenerator[bytes, None]
) -> AsyncGenerator[Any, None]:
    yield request(config=config)
    yield request(chunk=first)
    async for chunk in rest:
        yield request(chunk=chunk)


def config_of(
    form: str = "regular",
    attributes: Sequence[str] = (),
    tenant: str = "",
    video: VideoOptions = _AS_SERVED,
    distributions: bool = True,
) -> assay_pb2.ScoreConfig:
    """InvalidRequest names a form or attribute that does not exist, and those that do."""
    forms = {str(name): number for name, number in FORM_TO_WIRE.items()}
    if form not in forms:
        raise InvalidRequest(f"unknown form {form!r}; known are {', '.join(forms)}", field="config.form")
    if unknown := [name for name in attributes if name not in KINDS]:
        raise InvalidRequest(
            f"unknown attribute {', '.join(map(repr, unknown))}; known are {', '.join(KINDS)}",
            field="config.attributes",
        )
    config = assay_pb2.ScoreConfig(
        form=forms[form],
        attributes=dict.fromkeys(attributes),
        tenant=tenant,
        omit_digit_distributions=not distributions,
    )
    if video != _AS_SERVED:
        config.video.CopyFrom(video_options_to_wire(video))
    return config
