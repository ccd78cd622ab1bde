"""`assay live`: a stream on stdin or in a file -> one line per window."""

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import dataclass

from assay.cli import lines
from assay.cli.inputs import STDIN
from assay.cli.pace import paced
from assay.cli.settings import server_from_environment
from assay.client import DEFAULT_SERVER, AsyncClient, LiveSource, LiveWindow, NoServer
from assay.client.upload import pieces
from assay.errors import AssayError


@dataclass(frozen=True, slots=True)
class LiveWish:
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


def run_live(options: argparse.Namespace) -> int:
    """The command; its exit code."""
    wish = LiveWish(
        source=options.source,
        window_seconds=options.window,
        hop_seconds=options.hop,
        waits=options.lateness == "wait",
        is_paced=options.pace,
        form=options.form,
        attributes=options.attributes,
        tenant=options.tenant,
        as_json=options.json,
    )
    return asyncio.run(score_live(options.server or server_from_environment(DEFAULT_SERVER), wish))


async def score_live(server: str, wish: LiveWish) -> int:
    """Prints a line per window until the stream ends; 0, or the exit code of its failure."""
    try:
        chunks = pieces(sys.stdin.buffer if wish.source == STDIN else wish.source)
        await _score(server, wish, paced(chunks) if wish.is_paced else chunks)
    except NoServer as error:
        return _failed(wish, error.message, 3)
    except AssayError as error:
        return _failed(wish, error.message, 1)
    except OSError as error:
        return _failed(wish, f"cannot be read: {error.strerror or error}", 1)
    return 0


async def _score(server: str, wish: LiveWish, source: LiveSource) -> None:
    async with AsyncClient(server) as client:
        windows = client.live(
            source,
            window_seconds=wish.window_seconds,
            hop_seconds=wish.hop_seconds,
            waits=wish.waits,
            form=wish.form,
            attributes=wish.attributes,
            tenant=wish.tenant,
            distributions=False,
        )
        async with aclosing(windows):
            async for window in windows:
                print(live_json(window) if wish.as_json else live_line(window), flush=True)


def _failed(wish: LiveWish, message: str, exit_code: int) -> int:
    print(f"assay: {lines.one_line(wish.source)}: {lines.one_line(message)}", file=sys.stderr)
    return exit_code


def live_line(told: LiveWindow) -> str:
    """`0:00:04.0 - 0:00:07.5  6.53 ± 0.41 of 10` and, in brackets, what was lost before it."""
    score = told.window.score
    line = (
        f"{_clock(told.window.start_seconds)} - {_clock(told.window.end_seconds)}  "
        f"{score.value:.2f} ± {score.standard_deviation:.2f} of {score.scale.maximum:g}"
    )
    grades = ", ".join(
        f"{name.replace('_', ' ')}: {each.grade}" for name, each in told.window.attributes.items() if each.grade
    )
    lost = [
        (told.dropped_windows, "windows left out"),
        (told.damaged_frames, "damaged frames"),
        (told.clock_jumps, "jumps of its clock"),
    ]
    words = ", ".join(f"{count} {what}" for count, what in lost if count)
    return "  ".join([line, *([lines.one_line(grades)] if grades else []), *([f"[{words}]"] if words else [])])


def live_json(told: LiveWindow) -> str:
    """One line of JSON."""
    values = {
        "index": told.index,
        **lines.window_values(told.window),
        "dropped_windows": told.dropped_windows,
        "dropped_frames": told.dropped_frames,
        "damaged_frames": told.damaged_frames,
        "clock_jumps": told.clock_jumps,
        "lag_seconds": told.lag_seconds,
    }
    return json.dumps(values, allow_nan=False)


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    return f"{tenths // 36_000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"
