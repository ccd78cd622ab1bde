"""ICC profiles (ICC.1:2022) of screens, of grey and of inks, as small as they can be."""

import struct

from gateway.decode.worker.icc import ColourTags, profile_of

_D50 = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(each * 65536) for each in (0.9642, 1, 0.8249)))
DISPLAY_P3 = profile_of(ColourTags(primaries=12))


def grey_profile(gamma):
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    body = struct.pack(">I4sII4sII", 2, b"kTRC", 156, 14, b"wtpt", 172, 20) + curve + bytes(2)
    body += _D50
    header = bytearray(DISPLAY_P3[:128])
    header[:4], header[16:20] = struct.pack(">I", 128 + len(body)), b"GRAY"
    return bytes(header) + body


def ink_profile():
    """Four inks of which the first is black and the others are water."""
    grid, channels = 2, 4
    table = struct.pack(">4sI4B", b"mft1", 0, channels, 3, grid, 0) + struct.pack(
        ">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16
    )
    table += (
        bytes(range(256)) * channels + bytes([255, 128, 128]) * 8 + bytes([0, 128, 128]) * 8 + bytes(range(256)) * 3
    )
    body = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), 20) + table
    body += _D50
    header = bytearray(DISPLAY_P3[:128])
    header[:4], header[8:12] = struct.pack(">I", 128 + len(body)), b"\x02\x40\0\0"
    header[12:16], header[16:20], header[20:24] = b"prtr", b"CMYK", b"Lab "
    return bytes(header) + body
