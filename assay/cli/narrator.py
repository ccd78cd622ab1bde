"""Narrator: events -> the text that a person reads while a file is judged."""

from collections import defaultdict

from assay.cli.lines import printable
from assay.v1 import event_pb2


class Narrator:
    """Puts the reasoning of windows that are judged at the same time one behind the other, numbered as on the wire."""

    def __init__(self) -> None:
        self._is_video = False
        self._speaking = 0
        self._kept: defaultdict[int, str] = defaultdict(str)
        """Text of windows behind the speaking one."""
        self._finished: set[int] = set()
        """Windows that are judged."""
        self._last = ""
        """Last character of what the speaking window has said; empty if nothing."""

    def feed(self, event: event_pb2.ScoreEvent) -> str:
        """What to write now; empty if there is nothing to say."""
        match event.WhichOneof("event"):
            case "started":
                self._is_video = event.started.media.kind == event_pb2.MEDIA_KIND_VIDEO
            case "reasoning":
                return self._told(event.reasoning.window_index, printable(event.reasoning.text))
            case "window":
                self._finished.add(event.window.window_index)
                return self._go_on()
            case "result":
                self._finished.update(window.window_index for window in event.result.windows)
                return self._go_on()
        return ""

    def _told(self, window: int, text: str) -> str:
        if window != self._speaking:
            self._kept[window] += text
            return ""
        return self._said(text)

    def _go_on(self) -> str:
        """What the windows behind had to say, up to one that is not finished."""
        text = ""
        while self._speaking in self._finished:
            text += self._ended()
            self._speaking += 1
            text += self._said(self._kept.pop(self._speaking, ""))
        return text

    def _said(self, text: str) -> str:
        # Some checkpoints begin their answer with the space that their tokeniser keeps with the first word.
        text = text if self._last else text.lstrip(" ")
        if not text:
            return ""
        head = "" if self._last or not self._is_video else f"window {self._speaking}\n"
        self._last = text[-1]
        return head + text

    def _ended(self) -> str:
        """The line end that the speaking window's text lacks."""
        last, self._last = self._last, ""
        return "\n" if last not in ("", "\n") else ""
