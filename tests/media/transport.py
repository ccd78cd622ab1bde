"""MPEG-TS as it is written elsewhere: packets of 192 and 204 bytes, joined recordings, tracks that begin late."""

import io

import av
import numpy as np

PACKET_BYTES = 188


def packets(data: bytes) -> list[bytes]:
    """Of a transport stream of 188-byte packets."""
    return [data[start : start + PACKET_BYTES] for start in range(0, len(data), PACKET_BYTES)]


def with_arrival_times(data: bytes) -> bytes:
    """192-byte packets, as camcorders and Blu-ray write them (.mts, .m2ts)."""
    return b"".join((300 * i).to_bytes(4, "big") + packet for i, packet in enumerate(packets(data)))


def with_error_correction(data: bytes) -> bytes:
    """204-byte packets, as some tuners record them."""
    return b"".join(packet + bytes(range(16)) for packet in packets(data))


def scrambled(data: bytes) -> bytes:
    """As broadcast to subscribers: all but the tables is encrypted, and says so."""
    return b"".join(_scrambled(bytearray(packet)) for packet in packets(data))


def _scrambled(packet: bytearray) -> bytes:
    pid = (packet[1] & 0x1F) << 8 | packet[2]
    start = 5 + packet[4] if packet[3] & 0x20 else 4
    if 0x20 <= pid < 0x1000:
        packet[3] |= 0x80
        packet[start:] = bytes(each ^ 0x5A for each in packet[start:])
    return bytes(packet)


def of_other_recorder(data: bytes, **options: str) -> bytes:
    """The same stream with other numbers for its tables and its picture, behind a track of sound's number."""
    numbers = {"mpegts_start_pid": "0x210", "mpegts_pmt_start_pid": "0x1234", "mpegts_copyts": "1"}
    target = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(target, "w", format="mpegts", options=numbers | options) as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
    return target.getvalue()


def sound_before(seconds: float, video: bytes) -> bytes:
    """The stream with so many seconds of sound in front, as part of the same programme."""
    target = io.BytesIO()
    with av.open(io.BytesIO(video)) as source, av.open(target, "w", format="mpegts") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        sound = out.add_stream("mp2", rate=48000)
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, 2 * 1152), dtype=np.int16)
        for index in range(round(seconds * 48000 / 1152)):
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 48000, index * 1152
            out.mux(sound.encode(frame))
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                packet.pts, packet.dts = (round(each + seconds * 90000) for each in (packet.pts, packet.dts))
                out.mux(packet)
    return target.getvalue()
