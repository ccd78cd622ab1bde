"""Tensors: how a request and its events look as named arrays. Both ends of the Triton door speak through this file.

A text is an object array of UTF-8 bytes, shape (1,); a list of texts the same with shape (n,). `triton_models/qwen2_vl`
declares the same names and types; a test compares the two. Only numpy is imported here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from assay import errors
from assay.errors import AssayError, InvalidRequest
from assay.form import Form, form_from_json, form_to_json
from assay.frame import Clip, Frame
from assay.generator import Chose, Conversation, Counted, Event, Finished, FinishReason, Wrote

Tensors = Mapping[str, NDArray[Any]]
_ERRORS: Mapping[str, type[AssayError]] = {
    kind.reason: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AssayError)
}
_FINISHES: Mapping[str, FinishReason] = {reason: reason for reason in get_args(FinishReason)}


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One generation that is asked for."""

    request_id: str
    """Chosen by the caller, unique among the generations in flight."""
    clip: Clip
    conversation: Conversation
    form: Form


@dataclass(frozen=True, slots=True)
class Cancel:
    """The caller no longer wants that generation."""

    request_id: str


def request_to_tensors(request: Request) -> dict[str, NDArray[Any]]:
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
    }


def cancel_to_tensors(cancel: Cancel) -> dict[str, NDArray[Any]]:
    """REQUEST_ID and CANCEL alone."""
    return {"REQUEST_ID": _texts(cancel.request_id), "CANCEL": np.array([True])}


def request_from_tensors(tensors: Tensors) -> Request | Cancel:
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
        return Request(request_id, _clip_from_tensors(tensors), conversation, form)
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


def event_to_tensors(event: Event | AssayError | None) -> dict[str, NDArray[Any]]:
    """KIND and what that kind carries; None is the end of a cancelled generation."""
    match event:
        case Wrote(segment, text):
            return _event("wrote", SEGMENT=_texts(segment), TEXT=_texts(text))
        case Chose(segment, option, probabilities):
            by_option = {key: (value,) for key, value in probabilities.items()}
            return _event("chose", SEGMENT=_texts(segment), TEXT=_texts(option), **_table(by_option))
        case Counted(segment, written, by_prefix):
            return _event("counted", SEGMENT=_texts(segment), TEXT=_texts(written), **_table(by_prefix))
        case Finished(reason, fingerprint, prompt_tokens, answer_tokens):
            tokens = np.array([prompt_tokens, answer_tokens], np.int64)
            return _event("finished", FINISH=_texts(reason), FINGERPRINT=_texts(fingerprint), TOKENS=tokens)
        case AssayError():
            kind, message, field = _texts(event.reason), _texts(event.message), _texts(event.field)
            return _event("error", REASON=kind, GRPC_STATUS=_texts(event.grpc_status), TEXT=message, SEGMENT=field)
        case None:
            return _event("cancelled")


def event_from_tensors(tensors: Tensors) -> Event | AssayError | None:
    """The inverse of event_to_tensors. ValueError or KeyError if they are no event of this version."""
    match _text(tensors, "KIND"):
        case "wrote":
            return Wrote(_text(tensors, "SEGMENT"), _text(tensors, "TEXT"))
        case "chose":
            probabilities = {key: row[0] for key, row in _rows(tensors).items()}
            return Chose(_text(tensors, "SEGMENT"), _text(tensors, "TEXT"), probabilities)
        case "counted":
            return Counted(_text(tensors, "SEGMENT"), _text(tensors, "TEXT"), _rows(tensors))
        case "finished":
            prompt_tokens, answer_tokens = _tensor(tensors, "TOKENS").tolist()
            reason, fingerprint = _text(tensors, "FINISH"), _text(tensors, "FINGERPRINT")
            return Finished(_FINISHES[reason], fingerprint, prompt_tokens, answer_tokens)
        case "error":
            kind = _ERRORS.get(_text(tensors, "REASON"), AssayError)
            return kind(_text(tensors, "TEXT"), field=_text(tensors, "SEGMENT"))
        case "cancelled":
            return None
        case other:
            raise ValueError(f"no event has the kind {other!r}")


def _event(kind: str, **tensors: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"KIND": _texts(kind), **tensors}


def _table(rows: Mapping[str, tuple[float, ...]]) -> dict[str, NDArray[Any]]:
    """KEYS (n,) and PROBABILITIES (n, m) float64; the same numbers come out that went in."""
    return {"KEYS": _texts(*rows), "PROBABILITIES": np.array(list(rows.values()), np.float64)}


def _rows(tensors: Tensors) -> dict[str, tuple[float, ...]]:
    keys = [_decoded(key, "KEYS") for key in _tensor(tensors, "KEYS").tolist()]
    rows: Sequence[Sequence[float]] = _tensor(tensors, "PROBABILITIES").tolist()
    return {key: tuple(row) for key, row in zip(keys, rows, strict=True)}


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
