"""Bytes of a video become sampled frames, while they arrive if the container allows it."""

import ctypes
from collections.abc import Iterator
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from assay.errors import OverLimit
from gateway.decode.spec import DecodeSpec
from gateway.decode.worker.budget import Budget
from gateway.decode.worker.container import (
    open_source,
    open_tracks,
    picture_tracks,
    prepare,
    presentation_of,
    video_stream,
)
from gateway.decode.worker.packet_clock import FILE_GAP_SECONDS, STREAM_CONTAINERS, PacketClock
from gateway.decode.worker.reader import UploadReader
from gateway.decode.worker.sampler import Event, Sampler
from gateway.decode.worker.shortcut import Stretch

_JUMPS = "the clock of the video jumps or starts again {} times; its parts were put one after the other"
_SEVERAL_TRACKS = "the file has {} video tracks, of which number {} was judged"
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_OTHER_CODEC = "the codec of the video changes; what follows in the other codec was left out"


def decode_video(upload: UploadReader, container: str, spec: DecodeSpec) -> Iterator[Event]:
    """`MediaInfo` with the first frame, sampled `Frame`s in order of time, `DecodeSummary` last.

    Raises `BadMedia`, `OverLimit`, and anything that FFmpeg or PyAV come up with.
    """
    opened = open_source(upload, container, spec)
    assert opened is not None
    limits = spec.limits
    clock = PacketClock(FILE_GAP_SECONDS) if container in STREAM_CONTAINERS else None
    with open_tracks(opened.source, container, limits.max_video_pixels, limits.max_streams) as media:
        stream = video_stream(media)
        prepare(stream, limits.max_video_pixels)
        shown = presentation_of(stream, container, opened.presentations)
        sampler = Sampler(spec, Budget(limits, upload), container, stream, shown)
        tracks = picture_tracks(media)
        if len(tracks) > 1:
            sampler.warnings.append(_SEVERAL_TRACKS.format(len(tracks), 1 + tracks.index(stream)))
        try:
            for frame in frames_of(media, stream, sampler.budget, clock, sampler):
                yield from sampler.feed(frame)
        except OverLimit as spent:
            if spent.budget and sampler.sampled:
                yield from sampler.rest()
                yield sampler.summary()
            raise
        yield from sampler.rest()
    sampler.budget.check_quality()
    if clock is not None and clock.jumps:
        sampler.warnings.append(_JUMPS.format(clock.jumps))
    if opened.splice is not None and opened.splice.unlike_first:
        sampler.warnings.append(_OTHER_CODEC)
    if opened.declared_bytes > upload.bytes_arrived or sampler.budget.broke_off:
        sampler.warnings.append("the file is cut off: it ends before its last frames")
    yield sampler.summary()


def frames_of(
    media: InputContainer,
    stream: VideoStream,
    budget: Budget,
    clock: PacketClock | None = None,
    sampler: Sampler | None = None,
) -> Iterator[av.VideoFrame]:
    """Decoded frames in order of presentation; what cannot be decoded is counted and passed over."""
    packets, decoder, heap = media.demux(stream), _decoder_of(stream), Heap()
    while True:
        try:
            packet = next(packets, None)
        except IndexError:
            packet = None  # PyAV 18.1 stumbles at the end over tracks that appeared late (FLV, MPEG-TS)
        except FFmpegError:
            if not budget.frames:
                raise
            budget.broke_off, packet = True, None
        if packet is None:
            break
        budget.packet(packet.size)
        heap.packet()
        if clock is not None:
            clock.correct(packet)
        stretch = sampler.stretch(packet) if sampler else Stretch([packet])
        yield from _decode_stretch(decoder, stream, stretch, budget, sampler)
    yield from _decode_stretch(decoder, stream, sampler.last_stretch() if sampler else Stretch(), budget, sampler)
    yield from _decode(decoder, _end(stream), budget)


def _decoder_of(stream: VideoStream) -> VideoCodecContext:
    """The track's decoder as it was prepared, or one like it that knows transparency where the file speaks of any.

    VP8 and VP9 in Matroska carry it next to the picture, where FFmpeg's own decoders do not search.
    """
    own = stream.codec_context
    name = _ALPHA_DECODERS.get(own.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return own
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count, decoder.options = 1, {**own.options, "codec_whitelist": name}
    return decoder


def _decode_stretch(
    decoder: VideoCodecContext, stream: VideoStream, stretch: Stretch, budget: Budget, sampler: Sampler | None
) -> Iterator[av.VideoFrame]:
    if stretch.is_cut_off and stretch.packets:
        decoder.flush_buffers()
    for packet in stretch.packets:
        if sampler:
            decoder.skip_frame = sampler.needless(packet)
        yield from _decode(decoder, packet, budget)
    if stretch.is_alone:
        yield from _decode(decoder, _end(stream), budget)
        decoder.flush_buffers()


def _end(stream: VideoStream) -> "av.Packet[VideoStream]":
    """After which a decoder gives out what it holds; with None in its place the frames would not know their time."""
    packet: Any = av.Packet()
    packet.time_base = stream.time_base
    return packet  # type: ignore[no-any-return]


def _decode(decoder: VideoCodecContext, packet: "av.Packet[VideoStream]", budget: Budget) -> list[av.VideoFrame]:
    try:
        return decoder.decode(packet)
    except EOFError:
        return []  # flushed before
    except MemoryError:
        raise  # a limit and no damage
    except FFmpegError:
        budget.corrupt += 1
        return []


_EVERY_PACKETS = 256
_LIBC = ctypes.CDLL(None)


class Heap:
    """Call `packet` for every packet.

    FFmpeg asks for all its memory at aligned addresses. glibc before 2.38 does not find room that was freed again for
    such a request (its bug 14581), so by chance of how blocks come to lie a worker grew by 30 to 50 MiB in an hour-long
    video, of which nothing was in use.
    """

    def __init__(self) -> None:
        self._packets = 0

    def packet(self) -> None:
        self._packets += 1
        if self._packets % _EVERY_PACKETS == 0:
            _LIBC.malloc_trim(0)
