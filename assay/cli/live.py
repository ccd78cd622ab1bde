"""`assay live`: a stream on stdin or in a file -> one line per window."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass

from assay.cli import render
from assay.cli.inputs import STDIN
from assay.client import AsyncClient, Credentials, LiveSource, LiveWindow, NoServer
from assay.client.upload import pieces
from assay.errors import AssayError, InvalidRequest

_NO_CREDENTIALS = Credentials()
# MPEG-TS.
_PACKET_BYTES = 188
_TICKS_PER_SECOND = 90_000
_JUMP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What the command line asks for."""

    source: str
    window_seconds: float = 0.0
    hop_seconds: float = 0.0
    waits: bool = False
    is_paced: bool = False
    form: str = "direct"
    attributes: tuple[str, ...] = ()
    tenant: str = ""
    as_json: bool = False


async def score_live(server: str, options: LiveOptions, credentials: Credentials = _NO_CREDENTIALS) -> int:
    """Prints a line per window until the stream ends; 0, or the exit code of its failure."""
    try:
        chunks = pieces(sys.stdin.buffer if options.source == STDIN else options.source)
        await _score(
            AsyncClient(server, credentials=credentials), options, paced(chunks) if options.is_paced else chunks
        )
    except NoServer as error:
        return _failed(options, error.message, 3)
    except AssayError as error:
        return _failed(options, error.message, 1)
    except OSError as error:
        return _failed(options, f"cannot be read: {error.strerror or error}", 1)
    return 0


async def _score(connecting: AsyncClient, options: LiveOptions, source: LiveSource) -> None:
    async with connecting as client:
        windows = client.live(
            source,
            window_seconds=options.window_seconds,
            hop_seconds=options.hop_seconds,
            waits=options.waits,
            form=options.form,
            attributes=options.attributes,
            tenant=options.tenant,
            distributions=False,
        )
        async with aclosing(windows):
            async for window in windows:
                print(live_json(window) if options.as_json else live_line(window), flush=True)


def _failed(options: LiveOptions, message: str, exit_code: int) -> int:
    print(f"assay: {render.one_line(options.source)}: {render.one_line(message)}", file=sys.stderr)
    return exit_code


def live_line(window: LiveWindow) -> str:
    """`0:00:04.0 - 0:00:07.5  6.53 ± 0.41 of 10` and, in brackets, what was lost before it."""
    score = window.window.score
    line = (
        f"{_clock(window.window.start_seconds)} - {_clock(window.window.end_seconds)}  "
        f"{score.value:.2f} ± {score.standard_deviation:.2f} of {score.scale.maximum:g}"
    )
    grades = ", ".join(
        f"{name.replace('_', ' ')}: {each.grade}" for name, each in window.window.attributes.items() if each.grade
    )
    lost = [
        (window.dropped_windows, "windows left out"),
        (window.damaged_frames, "damaged frames"),
        (window.clock_jumps, "jumps of its clock"),
    ]
    words = ", ".join(f"{count} {what}" for count, what in lost if count)
    return "  ".join([line, *([render.one_line(grades)] if grades else []), *([f"[{words}]"] if words else [])])


def live_json(window: LiveWindow) -> str:
    """One line of JSON."""
    values = {
        "index": window.index,
        **render.window_values(window.window),
        "dropped_windows": window.dropped_windows,
        "dropped_frames": window.dropped_frames,
        "damaged_frames": window.damaged_frames,
        "clock_jumps": window.clock_jumps,
        "lag_seconds": window.lag_seconds,
    }
    return json.dumps(values, allow_nan=False)


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    return f"{tenths // 36_000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


async def paced(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The bytes of a recording as if it were made now, those behind a clock reference (PCR) when it is time for them.

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
