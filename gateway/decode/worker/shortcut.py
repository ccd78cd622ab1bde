"""Packets that no sample needs are not decoded: the way from sample to sample leads over the last key frame before it.

Nothing is read twice and nothing sought, so this works while the bytes arrive. Packets between the last sample and the
next wanted time are held; a key frame that is shown before that time makes those in front of it needless.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

from assay.video import KeyFrames

_HELD_BYTES = 16 << 20
_AUTO_SHARE = 0.5
"""Part of a slot in which a key frame may stand for the slot's first frame."""
_TOLERANCE = 2e-6
"""Part of a slot by which times may be off, see `gateway.sampling`."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets to decode now."""

    packets: "Sequence[Packet[VideoStream]]" = ()
    is_cut_off: bool = False
    """Packets in front of these were left out: what the decoder still holds is not wanted."""
    is_alone: bool = False
    """What follows is left out as well: the decoder shall give out all that it holds."""


class Shortcut:
    """Feed packets in order of decoding, decode the stretches that come back."""

    def __init__(self, key_frames: KeyFrames, key_frames_from_seconds: float) -> None:
        """As in `DecodeSpec`."""
        self._key_frames = key_frames
        self._from_seconds = key_frames_from_seconds
        self._held: list[Packet[VideoStream]] = []
        self._held_bytes = 0
        self._is_cut_off = False
        self._under_way = -math.inf
        """The wanted time for which packets are being decoded; until its frame has come out nothing is held."""
        self.skipped = 0
        """Packets that were left out."""

    def feed(
        self, packet: "Packet[VideoStream]", seconds: float, wanted_seconds: float, slot_seconds: float
    ) -> Stretch:
        """`seconds`: when the packet's frame is shown. `wanted_seconds`: from when on the next frame is taken; it
        stands for `slot_seconds`."""
        if self._key_frames == KeyFrames.ONLY:
            return self._key_frame(packet, seconds >= wanted_seconds)
        if not self.is_taken(slot_seconds):
            self._held.append(packet)
            return self.rest()
        is_at_hand = seconds <= wanted_seconds + _TOLERANCE * slot_seconds
        if packet.is_keyframe and is_at_hand and self._under_way != wanted_seconds:
            self._drop()
        self._held.append(packet)
        self._held_bytes += packet.size
        if self._under_way == wanted_seconds or self._is_due(packet, seconds, wanted_seconds, slot_seconds):
            self._under_way = wanted_seconds
            return self.rest()
        return Stretch()

    def is_taken(self, slot_seconds: float) -> bool:
        """False where little would be saved, and damage in frames that are not decoded would go unseen."""
        return self._key_frames is not KeyFrames.AUTO or slot_seconds >= self._from_seconds

    def rest(self) -> Stretch:
        """All that is held: at the end, and where a packet does not say its time."""
        stretch = Stretch(self._held, self._is_cut_off)
        self._held, self._held_bytes, self._is_cut_off = [], 0, False
        return stretch

    def _is_due(
        self, packet: "Packet[VideoStream]", seconds: float, wanted_seconds: float, slot_seconds: float
    ) -> bool:
        """The wanted frame is among what is held, or will not be cheaper to reach later."""
        if self._key_frames is not KeyFrames.AUTO:
            return seconds >= wanted_seconds or self._held_bytes > _HELD_BYTES
        latest = wanted_seconds + _AUTO_SHARE * slot_seconds
        if packet.is_keyframe and wanted_seconds <= seconds <= latest:
            self._held.pop()
            self._drop()
            self._held.append(packet)
            return True
        return seconds > latest or self._held_bytes > _HELD_BYTES

    def _key_frame(self, packet: "Packet[VideoStream]", is_wanted: bool) -> Stretch:
        if packet.is_keyframe and is_wanted:
            return Stretch([packet], is_cut_off=True, is_alone=True)
        self.skipped += 1
        return Stretch()

    def _drop(self) -> None:
        """Nothing that is held will be needed."""
        self.skipped += len(self._held)
        self._is_cut_off |= bool(self._held)
        self._held, self._held_bytes = [], 0
