"""Judgements and events as text and as JSON. Nothing here prints."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from assay.attribute import KINDS, Attribute
from assay.client import Judgement, Segment, Window
from assay.score import Score
from assay.v1 import event_pb2
from assay.video import Pooling, PoolingRule

_EIGHTHS = " ▏▎▍▌▋▊▉"
_BAR_WIDTH = 20


def printable(text: str) -> str:
    """The text without what could steer a terminal: control characters other than line ends become `?`."""
    return "".join(each if each == "\n" or each.isprintable() else "?" for each in text)


def score_line(name: str, score: Score) -> str:
    """`photo.jpg: 6.53 ± 0.41 of 10`."""
    return f"{one_line(name)}: {score.value:.2f} ± {score.standard_deviation:.2f} of {score.scale.maximum:g}"


def composite_line(score: Score) -> str:
    """What the tenant's weights make of the attributes, in the columns of the attributes."""
    value = f"{score.value:.2f} ± {score.standard_deviation:.2f} of {score.scale.maximum:g}"
    return f"  {'composite':<24}{value}"


def one_line(text: str) -> str:
    return printable(text).replace("\n", "?")


def attribute_lines(attributes: Mapping[str, Attribute]) -> list[str]:
    """Name, grade, probability of that grade; for an attribute in words, the words."""
    return [_attribute_line(attribute) for attribute in attributes.values()]


def _attribute_line(attribute: Attribute) -> str:
    name = attribute.name.replace("_", " ")
    if not KINDS[attribute.name].is_graded:
        return f"  {name:<24}{one_line(attribute.text)}"
    if not attribute.probabilities:
        return f"  {name:<24}{attribute.grade}"
    return f"  {name:<24}{attribute.grade:<24}{attribute.probabilities[attribute.grade]:>4.0%}"


def timeline_lines(windows: Iterable[Window]) -> list[str]:
    """One line per window: time range, score, bar, clarity and exposure."""
    return [_timeline_line(window) for window in windows]


def video_lines(judgement: Judgement) -> list[str]:
    """The timeline, its worst and best window, how it was pooled, and what was left out."""
    lines = [*timeline_lines(judgement.windows)]
    for name, segment in (("worst", judgement.worst), ("best", judgement.best)):
        if segment and len(judgement.windows) > 1:
            times = f"{clock(segment.start_seconds)} to {clock(segment.end_seconds)}"
            lines.append(f"  {times:>18}  {segment.score.value:5.2f}  {name}")
    if len(judgement.windows) > 1:
        lines.append(f"  pooled: {pooling_words(judgement.pooling)}")
    if judgement.video and judgement.video.repeated_frames:
        lines.append(
            f"  note: {judgement.video.repeated_frames} frames repeated the one before and were not scored again"
        )
    if partial := judgement.partial:
        reached = f"up to {clock(partial.reached_seconds)}, {partial.received_bytes} bytes"
        lines.append(f"  PARTIAL, {reached}: {one_line(partial.message)} ({one_line(partial.budget)})")
    return lines


def pooling_words(rule: PoolingRule) -> str:
    match rule.method:
        case Pooling.PERCENTILE:
            return f"the score at {rule.percentile:g} % of the time, counted from the worst"
        case Pooling.WORST:
            return f"mean of the worst {rule.worst_count} windows"
        case _:
            return "mean over windows, by time"


def _timeline_line(window: Window) -> str:
    score = window.score
    part = (score.value - score.scale.minimum) / (score.scale.maximum - score.scale.minimum)
    grades = [window.attributes[name].grade for name in ("clarity", "exposure") if name in window.attributes]
    times = f"{clock(window.start_seconds)} to {clock(window.end_seconds)}"
    return f"  {times:>18}  {score.value:5.2f}  {bar(part)}  {', '.join(grades)}".rstrip()


def clock(seconds: float) -> str:
    """`0:04.0`: minutes, seconds and tenths."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def bar(part: float) -> str:
    """A bar that is `part` (0 to 1) full, 20 columns wide."""
    eighths = round(min(max(part, 0.0), 1.0) * _BAR_WIDTH * 8)
    text = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{text:<{_BAR_WIDTH}}"


def judgement_json(name: str, judgement: Judgement) -> str:
    """One line of JSON; the keys are listed in `assay score --help`."""
    return _one_object(
        {
            "file": name,
            "score": _score(judgement.score),
            "attributes": _attributes(judgement.attributes),
            "windows": [window_values(window) for window in judgement.windows],
            "media": asdict(judgement.media),
            "model": asdict(judgement.model),
            **_composite(judgement.composite_score),
            **(_video(judgement) if judgement.media.kind == "video" else {}),
        }
    )


def error_json(name: str, reason: str, message: str) -> str:
    """One line of JSON for a file that could not be scored."""
    return _one_object({"file": name, "error": {"reason": reason, "message": message}})


def _one_object(values: dict[str, Any]) -> str:
    # ASCII only: a file name may hold bytes that no encoding of the output has.
    return json.dumps(values, allow_nan=False)


def window_values(window: Window) -> dict[str, Any]:
    """A window as values of JSON."""
    return {
        "start_seconds": window.start_seconds,
        "end_seconds": window.end_seconds,
        "frame_count": window.frame_count,
        "repeated_frames": window.repeated_frames,
        "is_repeat": window.is_repeat,
        "score": _score(window.score),
        "direct_score": _score(window.direct_score),
        "reasoned_score": _score(window.reasoned_score) if window.reasoned_score else None,
        "attributes": _attributes(window.attributes),
        "reasoning": window.reasoning,
        **_composite(window.composite_score),
    }


def _video(judgement: Judgement) -> dict[str, Any]:
    """The keys of a video alone."""
    rule, partial = judgement.pooling, judgement.partial
    refined: dict[Pooling, dict[str, float]] = {
        Pooling.PERCENTILE: {"percentile": rule.percentile},
        Pooling.WORST: {"worst_count": rule.worst_count},
    }
    return {
        "pooling": {"method": rule.method, **refined.get(rule.method, {})},
        "worst": _segment(judgement.worst),
        "best": _segment(judgement.best),
        "video": asdict(judgement.video) if judgement.video else None,
        "partial": asdict(partial) if partial else None,
    }


def _segment(segment: Segment | None) -> dict[str, Any] | None:
    return {**asdict(segment), "score": _score(segment.score)} if segment else None


def _score(score: Score) -> dict[str, Any]:
    return {"value": score.value, "stddev": score.standard_deviation, "scale": asdict(score.scale)}


def _composite(score: Score | None) -> dict[str, Any]:
    """The key is there for those alone who have a composite score."""
    return {"composite": _score(score)} if score else {}


def _attributes(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {
        name: {"grade": each.grade, "probabilities": dict(each.probabilities), "text": each.text}
        for name, each in attributes.items()
    }


class ReasoningText:
    """The reasoning of windows as it is written, numbered as on the wire: all of one comes before the next."""

    def __init__(self) -> None:
        self._is_video = False
        self._last = ""
        """Last character of the current window's text; empty if there is none."""

    def feed(self, event: event_pb2.ScoreEvent) -> str:
        """What to write now; may be empty."""
        match event.WhichOneof("event"):
            case "started":
                self._is_video = event.started.media.kind == event_pb2.MEDIA_KIND_VIDEO
            case "reasoning":
                return self._shown(event.reasoning.window_index, printable(event.reasoning.text))
            case "window" | "result":
                return self._ended()
        return ""

    def _shown(self, window: int, text: str) -> str:
        # Some checkpoints begin their answer with the space that their tokeniser keeps with the first word.
        text = text if self._last else text.lstrip(" ")
        if not text:
            return ""
        head = "" if self._last or not self._is_video else f"window {window}\n"
        self._last = text[-1]
        return head + text

    def _ended(self) -> str:
        """The line end that the current window's text lacks."""
        last, self._last = self._last, ""
        return "\n" if last not in ("", "\n") else ""
