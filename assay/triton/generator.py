"""TritonGenerator: the Generator port behind a Triton server that has `triton_models/qwen2_vl`. Never loads torch.

One bidirectional stream per generation: the request, then events until the last one, then both sides close. A gRPC
cancel that meets the end of a stream can crash Triton 24.10. So a generation is cancelled by a second message on its
stream, which is then read to its end; the call itself is cancelled only if the server does not answer that.

Of several servers (a name with several addresses) one clip always meets the same, by consistent hashing of its pixels,
so that requests about it find its prefix in that server's cache; while that one is away they meet the next.
"""

import asyncio
import hashlib
import json
import os
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from assay.errors import AssayError, ModelUnavailable, OutOfTime, OverLimit
from assay.form import Form, Free
from assay.frame import Clip, Frame
from assay.generator import Conversation, Event, Finished
from assay.rpc.call import PRIORITIES, priority, remaining_seconds, request_id
from assay.rpc.tls import Pem, PemFiles
from assay.rpc.tracing import span, traceparent
from assay.tensors import Cancel, GenerationRequest, cancel_to_tensors, request_to_tensors
from assay.triton.liveness import Liveness
from assay.triton.stream import TritonStream, request_message

_AFFINITY = "assay-affinity"
"""The metadata key whose value chooses the server."""
_AFFINITIES = 256
"""Different values. Each has its own watch for a stopped server."""

_SERVICE_CONFIG = {
    # gRPC's consistent hashing, github.com/grpc/proposal/blob/master/A76-ring-hash-improvements.md
    "loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": _AFFINITY}}],
    "methodConfig": [
        {
            "name": [{}],
            # Once, and never after the first event: a request that kills its server shall not kill them all.
            "retryPolicy": {
                "maxAttempts": 2,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}
# Read by gRPC when it reads the service config; without it the header is ignored.
os.putenv("GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY", "true")

_MAX_MESSAGE_BYTES = 256 << 20
_CHANNEL_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    # What is held for another attempt, beyond which there is none.
    ("grpc.per_rpc_retry_buffer_size", _MAX_MESSAGE_BYTES),
    # New servers are found when a connection ends (--grpc-max-connection-age), not only 30 s later.
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
    # A clip travels in one message: 64 frames of 448 x 448 are 38.5 MB. What a clip may hold is the gateway's limit.
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # A frozen server answers no ping; without ping_timeout_ms that shows after a minute only. The server must allow
    # pings this frequent (--grpc-http2-min-recv-ping-interval-without-data, --grpc-http2-max-ping-strikes).
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted server is found again within the second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Every generator has a connection of its own, so that closing one does not close another's.
    ("grpc.use_local_subchannel_pool", 1),
]
_CLOSE_SECONDS = 600.0
"""For generations in flight on a connection that showed a certificate which has been renewed."""
_CANARY = Conversation(question="What is this?"), Form((Free("canary", max_tokens=2),))
_REPLICA_CANARIES = 8
"""Of two servers all of so many clips go to one once in 128 times."""


def _canary_clip(level: int) -> Clip:
    return Clip((Frame(np.full((56, 56, 3), level, np.uint8)),), is_video=False)


class TritonGenerator:
    """A Generator whose engine runs behind a Triton server. For use on one event loop."""

    def __init__(
        self,
        address: str,
        *,
        model: str = "qwen2_vl",
        idle_timeout_seconds: float = 30.0,
        connect_timeout_seconds: float = 1.0,
        files: PemFiles | None = None,
        server_name: str = "",
    ) -> None:
        """`address` is host:port of Triton's gRPC side; behind one name, or in `ipv4:HOST:PORT,HOST:PORT`, may be
        several servers of one checkpoint. Nothing is connected before the first call.

        `idle_timeout_seconds` is the longest silence between two events; waiting in the engine's queue and reading
        the prompt count. `connect_timeout_seconds` is how long a call waits for a connection. With `files` the server
        must speak TLS, with a certificate of their authorities for its host or for `server_name`; it is shown ours.
        """
        self._files = files
        self._server_name = server_name
        self._shown: Pem | None = None
        self._address = address
        self._model = model
        self._idle_timeout_seconds = idle_timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._channel: grpc.aio.Channel | None = None
        self._stub: service_pb2_grpc.GRPCInferenceServiceStub | None = None
        self._streams: defaultdict[str, set[TritonStream]] = defaultdict(set)
        """By affinity: those of one value have one server."""
        self._liveness: dict[str, Liveness] = {}
        self._probe: Any = None
        """Held, because a call that nobody holds is cancelled."""

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        """The Generator port. aclose(), and cancelling the task that reads, cancel the generation in the engine.

        The current call's deadline, class and span go along. Besides the engine's own errors: OutOfTime if that
        deadline has passed; OverLimit if the clip is larger than 256 MiB; ModelUnavailable if the server
        cannot be reached, dies or is stopped, or is silent for idle_timeout_seconds.
        """
        with span("generation") as stage:
            request = GenerationRequest(
                _engine_id(),
                clip,
                conversation,
                form,
                seconds_left=_seconds_left(),
                priority=len(PRIORITIES) - 1 - PRIORITIES.index(priority.get()),
                traceparent=traceparent(stage),
            )
            stream = await self._begun(request)
            try:
                while True:
                    event = await self._next_event(stream)
                    if isinstance(event, AssayError):
                        raise event
                    yield event
                    if isinstance(event, Finished):
                        return
            finally:
                stream.leave()

    async def _begun(self, request: GenerationRequest) -> TritonStream:
        """Once the server of its clip is connected."""
        message = request_message(self._model, request_to_tensors(request))
        cancel = request_message(self._model, cancel_to_tensors(Cancel(request.request_id)))
        if message.ByteSize() > _MAX_MESSAGE_BYTES:
            # grpc itself would only say INTERNAL.
            raise OverLimit(
                f"The frames of a clip may have {_MAX_MESSAGE_BYTES} bytes together, got {message.ByteSize()}; "
                "send fewer or smaller ones."
            )
        affinity = _affinity(request.clip)
        stub = await self._connected(affinity)
        stream = TritonStream(stub.ModelStreamInfer(metadata=_metadata(affinity)), message, cancel)
        self._streams[affinity].add(stream)
        stream.ended.add_done_callback(lambda _: self._streams[affinity].discard(stream))
        self._watch(affinity)
        return stream

    async def ready(self) -> Finished:
        """The end of the answer, if the model answers a tiny request now.

        Raises ModelUnavailable if it does not; Busy means that it lives and has no place.
        """
        return await self._canary(_canary_clip(127))

    async def replica_fingerprints(self) -> set[str]:
        """Of the servers behind the address, as far as clips that go to each by chance reach them all."""
        asked = (self._canary(_canary_clip(level)) for level in range(_REPLICA_CANARIES))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return {each.checkpoint_fingerprint for each in answers if isinstance(each, Finished)}

    async def _canary(self, clip: Clip) -> Finished:
        async for event in self.generate(clip, *_CANARY):
            if isinstance(event, Finished):
                return event
        raise AssertionError("generate() ends in Finished or raises")

    async def close(self) -> None:
        """Cancel what is still in flight, wait for the server's word on it, close the connection."""
        streams = [stream for each in self._streams.values() for stream in each]
        for stream in streams:
            stream.leave()
        await asyncio.gather(*(stream.ended for stream in streams), return_exceptions=True)
        for liveness in self._liveness.values():
            await liveness.close()
        if self._channel is not None:
            await self._channel.close()
            self._channel = self._stub = None

    async def _connected(self, affinity: str) -> service_pb2_grpc.GRPCInferenceServiceStub:
        """Once the server of this affinity is connected, or another in its stead."""
        if self._files and self._channel and self._files.get() is not self._shown:
            asyncio.get_running_loop().create_task(self._channel.close(_CLOSE_SECONDS))
            self._channel = self._stub = None
        if self._channel is None or self._stub is None:
            self._channel = self._opened()
            self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        stub = self._stub
        if self._channel.get_state() is grpc.ChannelConnectivity.READY:
            return stub
        # Consistent hashing connects for a call only, so there is one, with the affinity of the one to come.
        request, timeout_seconds = service_pb2.ServerLiveRequest(), self._connect_timeout_seconds
        self._probe = stub.ServerLive(
            request, timeout=timeout_seconds, wait_for_ready=True, metadata=_metadata(affinity)
        )
        try:
            # Not asyncio.wait_for: in 3.11 it swallows a cancellation that comes together with the result.
            async with asyncio.timeout(timeout_seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            raise ModelUnavailable(
                f"The model server cannot be reached (no connection within {timeout_seconds:g} s); "
                "try again, and check that it is running if this goes on."
            ) from None
        return stub

    def _opened(self) -> grpc.aio.Channel:
        if self._files is None:
            return grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS)
        self._shown = self._files.get()
        name = [("grpc.ssl_target_name_override", self._server_name)] if self._server_name else []
        options = [*_CHANNEL_OPTIONS, *name]
        return grpc.aio.secure_channel(self._address, self._files.channel_credentials(), options=options)

    def _watch(self, affinity: str) -> None:
        if affinity not in self._liveness:
            self._liveness[affinity] = Liveness(partial(self._is_live, affinity), self._streams[affinity])
        self._liveness[affinity].watch()

    async def _is_live(self, affinity: str, timeout_seconds: float) -> bool:
        """False if the server takes a question in and does not answer: it is stopped, or its machine is."""
        assert self._stub is not None
        request = service_pb2.ServerLiveRequest()
        try:
            await self._stub.ServerLive(request, timeout=timeout_seconds, metadata=_metadata(affinity))
        except grpc.aio.AioRpcError as failure:
            # What else can go wrong ends the streams themselves.
            return failure.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        return True

    async def _next_event(self, stream: TritonStream) -> Event | AssayError:
        try:
            # Mostly the events of one message are there together, and a timer costs more than a look.
            if stream.events.empty():
                async with asyncio.timeout(self._idle_timeout_seconds):
                    event = await stream.events.get()
            else:
                event = stream.events.get_nowait()
        except TimeoutError:
            return ModelUnavailable(
                f"The model wrote nothing for {self._idle_timeout_seconds:g} s, so the request was cancelled; "
                "try again, with fewer requests at a time if the server is busy."
            )
        return ModelUnavailable("The model server cancelled the request; try again.") if event is None else event


def _seconds_left() -> float:
    if (left := remaining_seconds()) > 0:
        return left
    raise OutOfTime("the deadline had passed before the model was asked; allow more time")


def _engine_id() -> str:
    """Unique among those in flight, and begins with the id that stands in every program's logs."""
    return f"{request_id.get() or 'own'}:{uuid.uuid4().hex[:12]}"


def _affinity(clip: Clip) -> str:
    """Of the pixels alone, so that every question about a clip has the same."""
    digest = hashlib.blake2b(digest_size=8)
    for frame in clip.frames:
        digest.update(frame.pixels.data)
    return str(int.from_bytes(digest.digest(), "big") % _AFFINITIES)


def _metadata(affinity: str) -> tuple[tuple[str, str], ...]:
    return ((_AFFINITY, affinity),)
