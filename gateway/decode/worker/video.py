"""Bytes of a video become sampled frames, while they arrive if the container allows it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
from av.codec.context import Flags
from av.container import Container, InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from assay.errors import BadMedia, OverLimit
from gateway.decode.live_time import FILE_GAP_SECONDS
from gateway.decode.spec import MIB, DecodeLimits, DecodeSpec
from gateway.decode.worker import alpha, matroska, mp4, presentation, transport
from gateway.decode.worker.budget import Budget, too_many_pixels
from gateway.decode.worker.heap import Heap
from gateway.decode.worker.packet_clock import STREAM_CONTAINERS, PacketClock
from gateway.decode.worker.presentation import Presentation, Presentations
from gateway.decode.worker.reader import BoundedReader, Replay, UploadReader
from gateway.decode.worker.sampler import Event, Sampler
from gateway.decode.worker.shortcut import Stretch
from gateway.decode.worker.splice import Splice

_DEMUXER = {
    **{"mp4": "mov", "avif": "mov", "matroska": "matroska", "mpegts": "mpegts", "flv": "flv"},
    **{"avi": "avi", "mpegps": "mpeg"},
}
_FORMATS = "mov,matroska,webm,mpegts,flv,avi,mpeg"
_PROBED = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg2video,mpeg1video"
"""Decoders that FFmpeg may use while it looks for the tracks, whose sizes some containers do not say."""
_DECODERS = f"{_PROBED},mjpeg,prores,dvvideo"
# Enough to find the tracks; more would hold back the first frame (fragmented MP4: 0.9 s instead of 0.2 s).
_PROBE_BYTES = 128 * 1024
_LATE_PROBE_BYTES = (2 * MIB, 16 * MIB)
"""Tried next where a transport stream shows no picture in its first bytes: its track may begin later."""
# How far into an MP4 to look for its index before it is taken to be at the end.
_LOOK_AHEAD_BYTES = MIB


_ENDLESS_RIFF_BYTES = 0xFFFF0000
"""From here on a size says that the writer did not know it."""
_SCRAMBLED_WITHIN_BYTES = 16 * 1024
ENCRYPTED = "the video is encrypted (DRM or pay television); send one that plays without a key"
_JUMPS = "the clock of the video jumps or starts again {} times; its parts were put one after the other"
_SEVERAL_TRACKS = "the file has {} video tracks, of which number {} was judged"
_OTHER_CODEC = "the codec of the video changes; what follows in the other codec was left out"


def _refuse(url: str, flags: int, options: object) -> BoundedReader:
    """FFmpeg asks to open something else that the file names: a playlist's segment, an external track."""
    raise PermissionError("a media file may not refer to anything outside itself")


def open_container(
    source: BoundedReader, container: str, max_pixels: int, max_streams: int, probe_bytes: int = _PROBE_BYTES
) -> InputContainer:
    """Open with everything pinned. Four separate defences keep FFmpeg from opening anything else: the format is
    named, no other is allowed, no protocol is allowed, and opening raises."""
    options = {
        "format_whitelist": _FORMATS,
        "codec_whitelist": _PROBED,
        "protocol_whitelist": "",
        "max_streams": str(max_streams),
        "max_pixels": str(max_pixels),
        "probesize": str(probe_bytes),
        "analyzeduration": "0",
        # A recorder that starts again may number its tracks anew: the picture stays the same track.
        **({"merge_pmt_versions": "1"} if container == "mpegts" else {}),
    }
    return av.open(
        source,
        mode="r",
        format=_DEMUXER[container],
        options=options,
        metadata_errors="replace",
        io_open=_refuse,
    )


def open_tracks(source: BoundedReader, container: str, max_pixels: int, max_streams: int) -> InputContainer:
    """As `open_container`; a transport stream is read further where no picture is found at once."""
    if container != "mpegts":
        return open_container(source, container, max_pixels, max_streams)
    replay = Replay(source.read)
    media = open_container(replay, container, max_pixels, max_streams)
    for probe_bytes in _LATE_PROBE_BYTES:
        if media.streams.video:
            break
        media.close()
        replay.rewind()
        media = open_container(replay, container, max_pixels, max_streams, probe_bytes)
    replay.settle()
    return media


def prepare(stream: VideoStream, max_pixels: int, **options: str) -> None:
    """Bind the decoder of a track: PyAV gives it a context of its own that `av.open`'s options do not reach."""
    context = stream.codec_context
    if context is None:
        raise BadMedia("the codec of the video is not known; convert it to H.264, HEVC, VP9 or AV1")
    if context.codec.name not in _DECODERS.split(","):
        raise BadMedia(
            f"the codec of the video ({context.codec.canonical_name}) is not accepted; convert it to H.264, HEVC, VP9 "
            "or AV1"
        )
    if context.width * context.height > max_pixels:
        raise OverLimit(too_many_pixels(context.width * context.height, max_pixels))
    context.thread_count = 1
    # Otherwise FFmpeg cuts off less at the left than the stream says, for the sake of addresses.
    context.flags |= Flags.unaligned
    context.options = {"max_pixels": str(max_pixels), "codec_whitelist": _DECODERS, **options}


def video_stream(container: InputContainer) -> VideoStream:
    """The track to look at. Raises `BadMedia` if there is only sound, or a cover picture."""
    best = container.streams.best("video")
    if not isinstance(best, VideoStream) or best.disposition & Disposition.attached_pic:
        raise BadMedia("the file has no video track, only sound or data; send a file with a picture")
    for other in container.streams:
        if other.index != best.index:
            other.discard = Discard.all
    return best


@dataclass(frozen=True, slots=True)
class _Opened:
    source: BoundedReader
    declared_bytes: int = 0
    """The file says that it has at least so many; 0 if it does not say."""
    presentations: Presentations = field(default_factory=dict)
    splice: Splice | None = None


def open_source(upload: UploadReader, container: str, spec: DecodeSpec, *, may_spool: bool = True) -> _Opened | None:
    """What FFmpeg is to read from; None if that would be the whole upload, and it may not be waited for."""
    if container == "mp4":
        return _open_mp4(upload, spec, may_spool)
    if container == "matroska":
        return _open_matroska(upload, may_spool)
    if transport.is_scrambled(container, upload.peek(_SCRAMBLED_WITHIN_BYTES)):
        raise BadMedia(ENCRYPTED)
    if container == "mpegts":
        splice = Splice(upload.read)
        return _Opened(BoundedReader(splice.read), splice=splice)
    return _Opened(BoundedReader(upload.read), _avi_bytes(upload.peek(8)) if container == "avi" else 0)


def _avi_bytes(head: bytes) -> int:
    """Of the first part of an AVI, by its own word; 0 if it was never finished."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if 0 < size < _ENDLESS_RIFF_BYTES else 0


def _open_matroska(upload: UploadReader, may_spool: bool) -> _Opened:
    """Programs that change a finished file put its tracks to the end where they do not fit any more: that is read by
    seeking."""
    tracks = matroska.tracks(upload.at)
    declared_bytes = matroska.declared_bytes(upload.peek(matroska.HEAD_BYTES))
    source = BoundedReader(upload.read)
    if not tracks and may_spool:
        source = spool = upload.spool()
        tracks = matroska.tracks(spool.at, len(spool))
    return _Opened(source, declared_bytes, dict(enumerate(presentation.of_matroska(tracks))))


def _open_mp4(upload: UploadReader, spec: DecodeSpec, may_spool: bool) -> _Opened | None:
    """Decide by the order of the boxes whether frames can leave before the upload ends, and check the index."""
    limits = spec.limits
    layout = mp4.layout(upload.at, limits.max_index_bytes, _LOOK_AHEAD_BYTES)
    if layout.index is None:
        if not may_spool:
            return None
        spool = upload.spool()
        start, end = mp4.index_of(spool.at, len(spool))
        return _Opened(spool, presentations=_checked(spool.at(start, end - start), limits))
    start, end = layout.index
    presentations = _checked(upload.at(start, end - start), limits)
    return _Opened(BoundedReader(upload.read), layout.declared_bytes, presentations)


def _checked(index: bytes, limits: DecodeLimits) -> Presentations:
    mp4.check_index(index, limits)
    return presentation.of_mp4(index)


def _moving(media: Container) -> list[VideoStream]:
    """The tracks with a picture but for covers."""
    return [each for each in media.streams.video if not each.disposition & Disposition.attached_pic]


def presentation_of(stream: VideoStream, container: str, presentations: Presentations) -> Presentation:
    """Of the track to look at. Raises `BadMedia` if it is encrypted."""
    # FFmpeg passes an MP4's track numbers on; of Matroska's tracks, the order.
    key = stream.id if container == "mp4" else _moving(stream.container).index(stream)
    found = presentations.get(key, Presentation())
    if found.is_encrypted:
        raise BadMedia(ENCRYPTED)
    return found


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
        tracks = _moving(media)
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
    packets, decoder, heap = media.demux(stream), alpha.decoder_of(stream), Heap()
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
