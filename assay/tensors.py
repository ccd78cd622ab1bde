"""Tensors: how a request and its events look as named arrays. Both ends of the Triton door speak through this file.

A text is an object array of UTF-8 bytes, shape (1,); a list of texts the same with shape (n,). `triton_models/qwen2_vl`
declares the same names and types; a test compares the two. Only numpy is imported here.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from assay import errors
from assay.errors import AssayError, InvalidRequest
from assay.form import Form, form_from_json, form_to_json
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation, Event, Finished, FinishReason, NumberWritten, Wrote

Tensors = Mapping[str, NDArray[Any]]
_ERRORS: Mapping[str, type[AssayError]] = {
    kind.reason: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AssayError)
}
_FINISHES: Mapping[str, FinishReason] = {reason: reason for reason in get_args(FinishReason)}


@dataclass(frozen=True, slots=True, eq=False)
class GenerationRequest:
    """One generation that is asked for."""

    request_id: str
    """Chosen by the caller, unique among the generations in flight."""
    clip: Clip
    conversation: Conversation
    form: Form
    seconds_left: float = math.inf
    """Until nobody wants it any more."""
    priority: int = 0
    """Its class; higher ones go first."""
    traceparent: str = ""
    """The span that the engine's are below; w3.org/TR/trace-context. Empty: nothing is traced."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller no longer wants that generation."""

    request_id: str


def request_to_tensors(request: GenerationRequest) -> dict[str, NDArray[Any]]:
    """REQUEST_ID, CANCEL and what the generation is about. InvalidRequest if a text is not Unicode."""
    clip, conversation = request.clip, request.conversation
    return {
        "REQUEST_ID": _texts(request.request_id),
        "CANCEL": np.array([False]),
        "FRAMES": clip.stacked(),
        "PTS_SECONDS": np.array([frame.pts_seconds for frame in clip.frames], np.float64),
        "IS_VIDEO": np.array([clip.is_video]),
        "SYSTEM": _texts(conversation.system),
        "QUESTION": _texts(conversation.question),
        # Triton has no empty tensors: what was not answered yet is left out.
        **({"ANSWERED": _texts(*conversation.answered)} if conversation.answered else {}),
        "FORM": _texts(form_to_json(request.form)),
        "TENANT": _texts(conversation.tenant),
        "SECONDS_LEFT": np.array([request.seconds_left], np.float64),
        "PRIORITY": np.array([request.priority], np.int64),
        "TRACEPARENT": _texts(request.traceparent),
    }


def cancel_to_tensors(cancel: Cancel) -> dict[str, NDArray[Any]]:
    """REQUEST_ID and CANCEL alone."""
    return {"REQUEST_ID": _texts(cancel.request_id), "CANCEL": np.array([True])}


def request_from_tensors(tensors: Tensors) -> GenerationRequest | Cancel:
    """The inverse of request_to_tensors and cancel_to_tensors. InvalidRequest says which tensor cannot be read."""
    request_id = _text(tensors, "REQUEST_ID")
    if _one(tensors, "CANCEL"):
        return Cancel(request_id)
    conversation = Conversation(
        question=_text(tensors, "QUESTION"),
        system=_text(tensors, "SYSTEM"),
        answered=tuple(_decoded(each, "ANSWERED") for each in tensors.get("ANSWERED", ())),
        tenant=_text(tensors, "TENANT") if "TENANT" in tensors else "",
    )
    try:
        form = form_from_json(_text(tensors, "FORM"))
        return GenerationRequest(
            request_id,
            _clip_from_tensors(tensors),
            conversation,
            form,
            seconds_left=float(_one(tensors, "SECONDS_LEFT")) if "SECONDS_LEFT" in tensors else math.inf,
            priority=int(_one(tensors, "PRIORITY")) if "PRIORITY" in tensors else 0,
            traceparent=_text(tensors, "TRACEPARENT") if "TRACEPARENT" in tensors else "",
        )
    except (ValueError, TypeError, RecursionError) as unreadable:
        raise InvalidRequest(f"The request cannot be read: {unreadable}.") from unreadable


def _clip_from_tensors(tensors: Tensors) -> Clip:
    # Triton takes its memory back when the request has been handed over, and the engine reads the pictures later.
    frames = np.array(_tensor(tensors, "FRAMES"), copy=True, order="C")
    pts_seconds = _tensor(tensors, "PTS_SECONDS")
    if frames.ndim != 4 or pts_seconds.shape != frames.shape[:1]:
        raise ValueError(f"FRAMES has shape {frames.shape}, PTS_SECONDS {pts_seconds.shape}")
    pictures = zip(frames, pts_seconds.tolist(), strict=True)
    return Clip(tuple(Frame(pixels, pts) for pixels, pts in pictures), bool(_one(tensors, "IS_VIDEO")))


def events_to_tensors(events: Sequence[Event | AssayError | None]) -> dict[str, NDArray[Any]]:
    """EVENTS: an object in JSON for each, in their order; None is the end of a cancelled generation.

    One tensor, as every tensor and every message costs more than what is in it.
    """
    return {"EVENTS": _texts(*(json.dumps(_row_of(event)) for event in events))}


def events_from_tensors(tensors: Tensors) -> list[Event | AssayError | None]:
    """The inverse of events_to_tensors. ValueError, KeyError or TypeError if they are no events of this version."""
    return [_event_of(json.loads(each)) for each in _tensor(tensors, "EVENTS").tolist()]


def _row_of(event: Event | AssayError | None) -> Mapping[str, Any]:
    match event:
        case Wrote(segment, text):
            return {"kind": "wrote", "segment": segment, "text": text}
        case Chose(segment, option, probabilities):
            return {"kind": "chose", "segment": segment, "text": option, "probabilities": {**probabilities}}
        case NumberWritten(segment, written, by_prefix):
            return {"kind": "number", "segment": segment, "text": written, "probabilities": {**by_prefix}}
        case Finished(reason, fingerprint, prompt_tokens, answer_tokens, warnings):
            counts = {"tokens": [prompt_tokens, answer_tokens], "warnings": [*warnings]}
            return {"kind": "finished", "finish": reason, "fingerprint": fingerprint, **counts}
        case AssayError():
            status = {"reason": event.reason, "grpc_status": event.grpc_status}
            return {"kind": "error", **status, "text": event.message, "segment": event.field}
        case None:
            return {"kind": "cancelled"}


def _event_of(row: Mapping[str, Any]) -> Event | AssayError | None:
    match row["kind"]:
        case "wrote":
            return Wrote(row["segment"], row["text"])
        case "chose":
            return Chose(row["segment"], row["text"], row["probabilities"])
        case "number":
            # The same numbers come out that went in: JSON has the shortest decimals that are exactly these floats.
            by_prefix = {prefix: tuple(tens) for prefix, tens in row["probabilities"].items()}
            return NumberWritten(row["segment"], row["text"], by_prefix)
        case "finished":
            prompt_tokens, answer_tokens = row["tokens"]
            warnings = tuple(row["warnings"])
            return Finished(_FINISHES[row["finish"]], row["fingerprint"], prompt_tokens, answer_tokens, warnings)
        case "error":
            return _ERRORS.get(row["reason"], AssayError)(row["text"], field=row["segment"])
        case "cancelled":
            return None
        case other:
            raise ValueError(f"no event has the kind {other!r}")


def _texts(*texts: str) -> NDArray[Any]:
    try:
        return np.array([text.encode() for text in texts], dtype=np.object_)
    except UnicodeEncodeError as not_unicode:
        raise InvalidRequest(f"A text holds half a surrogate pair: {not_unicode.reason}.") from not_unicode


def _text(tensors: Tensors, name: str) -> str:
    return _decoded(_one(tensors, name), name)


def _decoded(value: Any, name: str) -> str:
    try:
        return str(value, "utf-8")
    except (UnicodeDecodeError, TypeError) as unreadable:
        raise InvalidRequest(f"{name} is not a UTF-8 text.") from unreadable


def _one(tensors: Tensors, name: str) -> Any:
    tensor = _tensor(tensors, name)
    if tensor.shape != (1,):
        raise InvalidRequest(f"{name} must hold one element, got shape {tensor.shape}.")
    return tensor[0]


def _tensor(tensors: Tensors, name: str) -> NDArray[Any]:
    if name not in tensors:
        raise InvalidRequest(f"The tensor {name} is missing.")
    return tensors[name]
