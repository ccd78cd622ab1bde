"""The clock of a stream's packets, made to run on where it wraps, jumps or starts again.

FFmpeg hands out the times of MPEG-TS, MPEG-PS and FLV as they are written. They are put right here, between the
demuxer and the decoder, so that whatever comes behind needs to know nothing of jumps.
"""

import av
from av.video.stream import VideoStream

WRAP_SECONDS = 2**33 / 90000
"""After 26.5 hours the clock of MPEG-TS begins at 0 again: it has 33 bits and 90,000 ticks a second."""

_LATE_SECONDS = 1.0
LIVE_GAP_SECONDS = 10.0
FILE_GAP_SECONDS = 60.0
"""In a file a picture may stand for longer: a presentation that was recorded."""
_FIRST_STEP_SECONDS = 0.04


class LiveTime:
    """Feed times in order of display, take times that rise.

    A step over the wrap is an ordinary step. One back by up to a second is a frame that comes too late. Any other step
    back, or one ahead by more than `gap_seconds`, is a jump of the clock (an encoder that was restarted, an
    advertisement put in between): time then goes on as if the frame had come when frames usually come.

    >>> time = LiveTime()
    >>> [time.feed(t) for t in (7.0, 7.5, 8.0, 3600.0, 3600.5)], time.jumps
    ([0.0, 0.5, 1.0, 1.5, 2.0], 1)
    """

    def __init__(self, gap_seconds: float = LIVE_GAP_SECONDS) -> None:
        self.jumps = 0
        self._gap_seconds = gap_seconds
        self._now = 0.0
        self._last: float | None = None
        self._usual_step = _FIRST_STEP_SECONDS

    def feed(self, seconds: float) -> float | None:
        """When the frame is shown; None if it comes too late to be shown at all."""
        if self._last is None:
            self._last = seconds
            return self._now
        step = _across_the_wrap(seconds - self._last)
        if -_LATE_SECONDS <= step <= 0.0:
            return None
        if 0.0 < step <= self._gap_seconds:
            self._usual_step = min(step, _LATE_SECONDS)
        else:
            self.jumps += 1
            step = self._usual_step
        self._last = seconds
        self._now += step
        return self._now


def _across_the_wrap(step: float) -> float:
    """The step as short as it can be taken; FFmpeg undoes some wraps itself, and then undoes the undoing."""
    return (step + WRAP_SECONDS / 2) % WRAP_SECONDS - WRAP_SECONDS / 2


STREAM_CONTAINERS = ("mpegts", "mpegps", "flv")
"""Their files are recordings of streams, of which parts may be missing or come from several recorders."""


class PacketClock:
    """Feed every packet of the picture's track in order of decoding; its pts and dts then rise without jumps."""

    def __init__(self, gap_seconds: float) -> None:
        """`gap_seconds`: a step ahead by more than this is a jump."""
        self._time = LiveTime(gap_seconds)
        self._offset_ticks = 0
        self._has_begun = False

    @property
    def jumps(self) -> int:
        return self._time.jumps

    def correct(self, packet: "av.Packet[VideoStream]") -> None:
        """Change the packet's times; one without any keeps none."""
        # In order of decoding dts rises and pts does not. A step back by less than a second is damage.
        stamp = packet.pts if packet.dts is None else packet.dts
        if stamp is None:
            return
        tick_seconds = float(packet.time_base)
        seconds = self._time.feed(stamp * tick_seconds)
        if seconds is not None:
            offset = round(seconds / tick_seconds) - stamp
            if not self._has_begun or abs(offset - self._offset_ticks) > 1:  # 1: sums of floats are not exact
                self._offset_ticks, self._has_begun = offset, True
        packet.pts = None if packet.pts is None else packet.pts + self._offset_ticks
        packet.dts = None if packet.dts is None else packet.dts + self._offset_ticks
