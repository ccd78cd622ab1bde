"""A recording of MPEG-TS at the pace of its own clock, as if it were made now."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable

from assay.errors import InvalidRequest

_PACKET_BYTES = 188
_TICKS_PER_SECOND = 90_000
_JUMP_SECONDS = 10.0


async def paced(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The bytes, those behind a clock reference (PCR) when it is time for them.

    InvalidRequest if it is no MPEG-TS: other containers do not say in their bytes when these are due.
    """
    loop = asyncio.get_running_loop()
    rest, ahead_since, last = b"", loop.time(), None
    async for chunk in chunks:
        data, start = rest + chunk, 0
        whole = len(data) // _PACKET_BYTES * _PACKET_BYTES
        for at in range(0, whole, _PACKET_BYTES):
            seconds = clock_seconds(data[at : at + _PACKET_BYTES])
            if seconds is None:
                continue
            yield_now, start = data[start:at], at
            if yield_now:
                yield yield_now
            step = seconds - last if last is not None else 0.0
            last = seconds
            if 0.0 < step < _JUMP_SECONDS:  # anything else is a jump of the clock, which takes no time
                ahead_since += step
                await asyncio.sleep(ahead_since - loop.time())
        yield data[start:whole]
        rest = data[whole:]
    if rest:
        yield rest


def clock_seconds(packet: bytes) -> float | None:
    """The clock reference in a packet of 188 bytes, to 1/90,000 s; None if it has none."""
    if packet[0] != 0x47:
        raise InvalidRequest("only MPEG-TS can be paced; leave --pace out, or convert it to MPEG-TS")
    has_field = packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10
    return (int.from_bytes(packet[6:11], "big") >> 7) / _TICKS_PER_SECOND if has_field else None
