"""Tally: events -> what the progress bar says."""

from assay.attribute import KINDS
from assay.v1 import event_pb2

_MIB = 1024 * 1024


class Tally:
    """Counts attributes of a picture, windows of a video."""

    def __init__(self, wanted_attributes: int) -> None:
        """`wanted_attributes` is how many are to be reported; 0 for all of them."""
        self._attributes = wanted_attributes or len(KINDS)
        self._told = 0
        self._is_video = False
        self._windows = (0, 0)
        self._doing = "uploading"
        self._early = ""

    def feed(self, event: event_pb2.ScoreEvent) -> None:
        match event.WhichOneof("event"):
            case "started":
                self._is_video = event.started.media.kind == event_pb2.MEDIA_KIND_VIDEO
                self._doing = "looking"
            case "progress":
                progress = event.progress
                self._windows = (progress.finished_windows, progress.started_windows)
                self._doing = f"{progress.received_bytes / _MIB:.1f} MiB, {progress.sampled_frames} frames"
            case "early_score" if not self._is_video:
                self._early = f", at first sight {event.early_score.score.value:.1f}"
            case "attribute":
                self._told += 1

    def shown(self) -> tuple[str, int, int]:
        """What is being done, steps done, steps in all (0: not known)."""
        if self._is_video:
            finished, begun = self._windows
            return f"{self._doing}, windows" if begun else self._doing, finished, begun
        return f"{self._doing}{self._early}", self._told, self._attributes if self._told else 0
