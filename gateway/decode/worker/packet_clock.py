"""The clock of a stream's packets, made to run on where it wraps, jumps or starts again.

FFmpeg hands out the times of MPEG-TS, MPEG-PS and FLV as they are written. They are put right here, between the
demuxer and the decoder, so that whatever comes behind needs to know nothing of jumps.
"""

import av
from av.video.stream import VideoStream

from gateway.decode.live_time import LiveTime

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
