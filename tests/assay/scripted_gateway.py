"""ScriptedGateway: the public service over real gRPC, with answers that a test writes down."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc

from assay import wire
from assay.attribute import KINDS, Attribute
from assay.errors import AssayError, BadMedia
from assay.rpc.errors import DETAILS_KEY, status_of
from assay.score import Scale, Score
from assay.v1 import assay_pb2, assay_pb2_grpc, event_pb2, score_pb2

JPEG = b"\xff\xd8\xff\xe0 not much of a picture"
MP4 = b"\x00\x00\x00\x18ftypisom not much of a video"
MODEL = event_pb2.ModelInfo(name="scripted", checkpoint_fingerprint="c0ffee", preprocessing_fingerprint="beef")


@dataclass
class Call:
    """What a client sent."""

    method: str
    config: assay_pb2.ScoreConfig = field(default_factory=assay_pb2.ScoreConfig)
    chunks: list[bytes] = field(default_factory=list)
    has_ended: threading.Event = field(default_factory=threading.Event)
    """Set when the call is over, for whatever reason."""


Script = Callable[[Call], Iterable[event_pb2.ScoreEvent | AssayError]]


class ScriptedGateway(assay_pb2_grpc.AssayServiceServicer):
    """Reads the whole upload, then sends what the script yields; an error ends the call with its status."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or judged
        self.calls: list[Call] = []
        self._server = grpc.server(ThreadPoolExecutor(8))
        assay_pb2_grpc.add_AssayServiceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def ScoreImage(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    def StreamImage(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        context.send_initial_metadata(())
        for event in self._events("StreamImage", request_iterator, context):
            yield assay_pb2.StreamImageResponse(events=[event])

    def StreamVideo(self, request_iterator: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        context.send_initial_metadata(())
        for event in self._events("StreamVideo", request_iterator, context):
            yield assay_pb2.StreamVideoResponse(events=[event])

    def ScoreUri(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        parts = [
            assay_pb2.StreamVideoRequest(config=request.config),
            assay_pb2.StreamVideoRequest(chunk=request.uri.encode()),
        ]
        for event in self._events("ScoreUri", parts, context):
            yield assay_pb2.ScoreUriResponse(events=[event])

    def _events(self, method: str, requests: Any, context: Any) -> Iterator[event_pb2.ScoreEvent]:
        call = Call(method)
        self.calls.append(call)
        context.add_callback(call.has_ended.set)
        for request in requests:
            if request.WhichOneof("part") == "config":
                call.config.CopyFrom(request.config)
            else:
                call.chunks.append(request.chunk)
        for sequence, event in enumerate(self.script(call), start=1):
            if isinstance(event, AssayError):
                context.set_trailing_metadata(((DETAILS_KEY, status_of(event).SerializeToString()),))
                context.abort(grpc.StatusCode[event.grpc_status], event.message)
                return
            event.sequence = sequence
            yield event


def judged(call: Call) -> Iterator[event_pb2.ScoreEvent | AssayError]:
    """Judges anything; files that hold the word "broken" are refused, and nothing else is affected."""
    if b"broken" in b"".join(call.chunks):
        yield BadMedia("these bytes are neither a picture nor a video")
        return
    is_video = call.method == "StreamVideo"
    yield started(is_video)
    for index in range(2 if is_video else 1):
        yield reasoning("Sharp. ", index)
        yield reasoning("Well lit.\n", index)
        yield event_pb2.ScoreEvent(window=window(index))
    yield event_pb2.ScoreEvent(result=result(is_video, list(call.config.attributes)))


def started(is_video: bool = False) -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(started=event_pb2.Started(request_id="1", media=media(is_video), model=MODEL))


def reasoning(text: str, window_index: int = 0) -> event_pb2.ScoreEvent:
    return event_pb2.ScoreEvent(reasoning=event_pb2.ReasoningDelta(window_index=window_index, text=text))


def media(is_video: bool) -> event_pb2.MediaInfo:
    info = event_pb2.MediaInfo(
        kind=event_pb2.MEDIA_KIND_VIDEO if is_video else event_pb2.MEDIA_KIND_IMAGE,
        container="mp4" if is_video else "jpeg",
        codec="h264" if is_video else "mjpeg",
        width_px=640,
        height_px=480,
        decoded_frames=50 if is_video else 1,
        sampled_frames=8 if is_video else 1,
    )
    if is_video:
        info.duration.FromMilliseconds(8_000)
    return info


def score(value: float = 6.53) -> score_pb2.Score:
    return wire.score_to_wire(Score(value, 0.41, Scale(0.0, 10.0), f"{value:.2f}"))


def window(index: int, value: float = 6.53) -> score_pb2.WindowResult:
    result = score_pb2.WindowResult(
        window_index=index,
        frame_count=4,
        score=score(value),
        direct_score=score(value - 0.1),
        reasoned_score=score(value + 0.1),
        attributes=[wire.attribute_to_wire(attribute) for attribute in attributes()],
        reasoning="Sharp. Well lit.\n",
    )
    result.start_offset.FromMilliseconds(4_000 * index)
    result.end_offset.FromMilliseconds(4_000 * index + 3_500)
    return result


def result(is_video: bool = False, names: list[str] | None = None, value: float = 6.53) -> event_pb2.Result:
    windows = [window(index, value) for index in range(2 if is_video else 1)]
    return event_pb2.Result(
        score=score(value),
        pooling_rule=event_pb2.PoolingRule(method=event_pb2.POOLING_MEAN),
        attributes=[wire.attribute_to_wire(each) for each in attributes() if not names or each.name in names],
        windows=windows,
        worst=segment(windows[0]) if is_video else None,
        best=segment(windows[-1]) if is_video else None,
        media=media(is_video),
        model=MODEL,
    )


def segment(of: score_pb2.WindowResult) -> event_pb2.Segment:
    times = {"start_offset": of.start_offset, "end_offset": of.end_offset}
    return event_pb2.Segment(window_index=of.window_index, score=of.score, **times)


def attributes() -> list[Attribute]:
    """All ten; of each scale the second best grade, with 0.6."""
    reported = []
    for kind in KINDS.values():
        if not kind.is_graded:
            reported.append(Attribute(kind.name, text="a dog on a beach"))
            continue
        grade = kind.grades[-2]
        others = [other for other in kind.grades if other != grade]
        reported.append(Attribute(kind.name, grade, {grade: 0.6} | dict.fromkeys(others, 0.4 / len(others))))
    return reported
