"""Containers: what FFmpeg reads an upload from, opened with everything pinned, and the track to decode."""

from dataclasses import dataclass, field

import av
from av.codec.context import Flags
from av.container import Container, InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from assay.errors import BadMedia, OverLimit
from gateway.decode.spec import MIB, DecodeLimits, DecodeSpec
from gateway.decode.worker import matroska, mp4, presentation
from gateway.decode.worker.budget import too_many_pixels
from gateway.decode.worker.presentation import Presentation, Presentations
from gateway.decode.worker.reader import BoundedReader, Replay, UploadReader
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
_TS_SYNC = 0x47
_TS_TABLES_BELOW_PID = 0x20
_TS_NO_PAYLOAD_PID = 0x1FFF
_PES_PICTURE = b"\0\0\1\xe0"
_SHARE = 0.5
"""Of the packets that could be encrypted: damage sets the same bits here and there."""
_LEAST_PACKETS = 8
ENCRYPTED = "the video is encrypted (DRM or pay television); send one that plays without a key"


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
class OpenedSource:
    """What FFmpeg is to read, and what the container says that FFmpeg does not."""

    source: BoundedReader
    declared_bytes: int = 0
    """The file says that it has at least so many; 0 if it does not say."""
    presentations: Presentations = field(default_factory=dict)
    splice: Splice | None = None


def open_source(
    upload: UploadReader, container: str, spec: DecodeSpec, *, may_spool: bool = True
) -> OpenedSource | None:
    """What FFmpeg is to read from; None if that would be the whole upload, and it may not be waited for."""
    if container == "mp4":
        return _open_mp4(upload, spec, may_spool)
    if container == "matroska":
        return _open_matroska(upload, may_spool)
    if is_scrambled(container, upload.peek(_SCRAMBLED_WITHIN_BYTES)):
        raise BadMedia(ENCRYPTED)
    if container == "mpegts":
        splice = Splice(upload.read)
        return OpenedSource(BoundedReader(splice.read), splice=splice)
    return OpenedSource(BoundedReader(upload.read), _avi_bytes(upload.peek(8)) if container == "avi" else 0)


def _avi_bytes(head: bytes) -> int:
    """Of the first part of an AVI, by its own word; 0 if it was never finished."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if 0 < size < _ENDLESS_RIFF_BYTES else 0


def _open_matroska(upload: UploadReader, may_spool: bool) -> OpenedSource:
    """Programs that change a finished file put its tracks to the end where they do not fit any more: that is read by
    seeking."""
    tracks = matroska.tracks(upload.at)
    declared_bytes = matroska.declared_bytes(upload.peek(matroska.HEAD_BYTES))
    source = BoundedReader(upload.read)
    if not tracks and may_spool:
        source = spool = upload.spool()
        tracks = matroska.tracks(spool.at, len(spool))
    return OpenedSource(source, declared_bytes, dict(enumerate(presentation.of_matroska(tracks))))


def _open_mp4(upload: UploadReader, spec: DecodeSpec, may_spool: bool) -> OpenedSource | None:
    """Decide by the order of the boxes whether frames can leave before the upload ends, and check the index."""
    limits = spec.limits
    layout = mp4.layout(upload.at, limits.max_index_bytes, _LOOK_AHEAD_BYTES)
    if layout.index is None:
        if not may_spool:
            return None
        spool = upload.spool()
        start, end = mp4.index_of(spool.at, len(spool))
        return OpenedSource(spool, presentations=_checked(spool.at(start, end - start), limits))
    start, end = layout.index
    presentations = _checked(upload.at(start, end - start), limits)
    return OpenedSource(BoundedReader(upload.read), layout.declared_bytes, presentations)


def _checked(index: bytes, limits: DecodeLimits) -> Presentations:
    mp4.check_index(index, limits)
    return presentation.of_mp4(index)


def picture_tracks(media: Container) -> list[VideoStream]:
    """The tracks with a picture but for covers."""
    return [each for each in media.streams.video if not each.disposition & Disposition.attached_pic]


def presentation_of(stream: VideoStream, container: str, presentations: Presentations) -> Presentation:
    """Of the track to look at. Raises `BadMedia` if it is encrypted."""
    # FFmpeg passes an MP4's track numbers on; of Matroska's tracks, the order.
    key = stream.id if container == "mp4" else picture_tracks(stream.container).index(stream)
    found = presentations.get(key, Presentation())
    if found.is_encrypted:
        raise BadMedia(ENCRYPTED)
    return found


def is_scrambled(container: str, head: bytes) -> bool:
    """Whether most of what the first bytes carry needs a key (`transport_scrambling_control`, ISO/IEC 13818-1)."""
    marks = {"mpegts": _of_ts, "mpegps": _of_ps}.get(container, lambda _: [])(head)
    return len(marks) >= _LEAST_PACKETS and sum(marks) > _SHARE * len(marks)


def _of_ts(head: bytes) -> list[bool]:
    return max((_of_packets(head, size) for size in (188, 192, 204)), key=len)


def _of_packets(head: bytes, packet_bytes: int) -> list[bool]:
    """Whether each packet that carries sound or picture is scrambled; of the offset at which packets are found."""
    offset = next(
        (
            at
            for at in range(packet_bytes)
            if len(starts := head[at::packet_bytes]) > _LEAST_PACKETS and set(starts[:_LEAST_PACKETS]) == {_TS_SYNC}
        ),
        len(head),
    )
    marks = []
    for at in range(offset, len(head) - 4, packet_bytes):
        pid = (head[at + 1] & 0x1F) << 8 | head[at + 2]
        has_payload = head[at + 3] & 0x10
        if head[at] == _TS_SYNC and has_payload and _TS_TABLES_BELOW_PID <= pid < _TS_NO_PAYLOAD_PID:
            marks.append(bool(head[at + 3] & 0xC0))
    return marks


def _of_ps(head: bytes) -> list[bool]:
    """Of the pieces of the picture; a DVD's are scrambled piece by piece."""
    marks, at = [], head.find(_PES_PICTURE)
    while 0 <= at < len(head) - 7:
        marks.append(head[at + 6] & 0xF0 in (0x90, 0xA0, 0xB0))  # '10', then the two bits of scrambling
        at = head.find(_PES_PICTURE, at + 6)
    return marks
