"""Supervisor: keeps one server answering. Starts it, watches it, restarts it with backoff, stops it cleanly.

Anything that breaks the model restarts the whole server. Triton could also load a model anew whose stub has died, but
the streams in flight would then hang until their callers' idle timeout, and the stub's shared memory would stay behind.
Triton itself starts in 0.2 s; the model takes just as long either way. A process that is only stopped (SIGSTOP) is
given time to go on, and is not replaced if it does.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np

from assay.checkpoint import ModelSpec, read_checkpoint
from assay.errors import AssayError, Busy
from assay.frame import Clip, Frame
from assay.generator import Conversation
from assay.prompt import answer_form, question
from assay.rpc import metrics
from assay.stack.program import Backoff
from triton_server.room import check_room
from triton_server.server import SHM_PREFIX, Server, ServerDied, reachable
from triton_server.settings import Ports, TritonServerSettings, check_free
from triton_server.tls import Renewal, client

_log = logging.getLogger("triton_server")

_WATCH_SECONDS = 0.1
_MAX_FAILED_STARTS = 5
"""In a row; then the program ends, so that its own supervisor sees that restarts do not help."""
_MAX_FAILED_CANARIES = 3
_RENEWED = "its certificate was renewed"


async def supervise(
    settings: TritonServerSettings,
    ports: Ports,
    announce: Callable[[str], None],
    set_health: Callable[[bool], Awaitable[None]],
) -> None:
    """Serve until cancelled. `announce` is called once, with the gRPC address, when the model has answered;
    `set_health` whenever it begins or ceases to.

    Raises the AssayError of a start that will not go better; otherwise after _MAX_FAILED_STARTS that failed in a row.
    """
    has_been_ready = False
    backoff = Backoff(max_failures=_MAX_FAILED_STARTS - 1)

    def ready(address: str) -> None:
        nonlocal has_been_ready
        if not has_been_ready:
            announce(address)
        has_been_ready, backoff.failures = True, 0

    while True:
        pause_seconds = 0.0
        try:
            trouble = await _serve_once(settings, ports, ready, set_health)
        except AssayError as failed:
            metrics.RESTARTS.labels("triton", "start").inc()
            trouble, pause_seconds = failed.message, backoff.failed(0)
            if backoff.is_exhausted or not (has_been_ready or isinstance(failed, ServerDied)):
                raise
        level = logging.INFO if trouble is _RENEWED else logging.ERROR
        _log.log(level, "%s; restarting in %.1f s", trouble, pause_seconds)
        await asyncio.sleep(pause_seconds)


async def _serve_once(
    settings: TritonServerSettings,
    ports: Ports,
    ready: Callable[[str], None],
    set_health: Callable[[bool], Awaitable[None]],
) -> str:
    """One life of a server: what was wrong with it in the end. AssayError if it never answered."""
    _remove_shared_memory_of_the_dead()
    check_free(settings, ports)
    await asyncio.to_thread(check_room, settings)
    address = f"{reachable(settings.host)}:{ports.grpc}"
    renewal = Renewal(settings)
    server = await Server.start(settings, ports)
    is_well = False
    try:
        await server.load_model()
        await _canary(address, settings)
        if settings.warm_up:
            await warm_up(address, settings)
        ready(address)
        await set_health(True)
        is_well = True
        trouble = await _watch(server, address, settings, set_health, renewal)
        if trouble is _RENEWED:
            return trouble
        is_well = False
        # Should one of them come up again and again, it is what ends the model.
        for request_id in sorted(set(server.relay.generations.values())):
            _log.error("the model was at this request: %s", trouble, extra={"facts": {"request_id": request_id}})
        return trouble
    finally:
        await set_health(False)
        # A server in trouble has streams that hang; only a healthy one gets time for what is in flight.
        await (server.stop() if is_well else server.kill())


async def _watch(
    server: Server,
    address: str,
    settings: TritonServerSettings,
    set_health: Callable[[bool], Awaitable[None]],
    renewal: Renewal,
) -> str:
    """What is wrong with the server, as soon as something is, or _RENEWED."""
    running = asyncio.Event()
    running.set()
    canaries = asyncio.create_task(_watch_canaries(address, settings, running, server.responses))
    held_seconds = 0.0
    try:
        while not canaries.done():
            if trouble := server.trouble():
                metrics.RESTARTS.labels("triton", "died").inc()
                return trouble
            if renewal.is_due:
                metrics.RESTARTS.labels("triton", "renewed").inc()
                return _RENEWED
            was_running = running.is_set()
            held_seconds = _held_seconds(server, running, held_seconds)
            if running.is_set() is not was_running:
                await set_health(running.is_set())
            if held_seconds > settings.max_stopped_seconds:
                metrics.RESTARTS.labels("triton", "stopped").inc()
                return f"a process was stopped for {settings.max_stopped_seconds:g} s and did not go on"
            await asyncio.wait([canaries], timeout=_WATCH_SECONDS)
        metrics.RESTARTS.labels("triton", "unanswered").inc()
        return canaries.result()
    finally:
        canaries.cancel()


def _held_seconds(server: Server, running: asyncio.Event, before_seconds: float) -> float:
    """How long a process of the server has been stopped, in rounds of the watch; says when that begins and ends."""
    if server.hold_while_stopped():
        if running.is_set():
            _log.warning("a process of Triton was stopped (SIGSTOP); waiting until it goes on")
        running.clear()
        return before_seconds + _WATCH_SECONDS
    if not running.is_set():
        _log.warning("the stopped process goes on, after %.1f s", before_seconds)
    running.set()
    return 0.0


async def _watch_canaries(
    address: str, settings: TritonServerSettings, running: asyncio.Event, responses: Callable[[], Awaitable[float]]
) -> str:
    """Returns when the model has left several tiny requests unanswered and advanced no other meanwhile.

    None is sent while it is stopped. A request may wait longer than a canary where one forward takes seconds.
    """
    failures = 0
    while failures < _MAX_FAILED_CANARIES:
        await asyncio.sleep(settings.canary_interval_seconds)
        await running.wait()
        before = await responses()
        try:
            await _canary(address, settings)
            failures = 0
        except AssayError as failed:
            if before >= 0 and await responses() > before:
                failures = 0
                _log.info("a canary failed while the model answers others: %s", failed.message)
            elif running.is_set():
                failures += 1
                _log.warning("canary %d of %d failed: %s", failures, _MAX_FAILED_CANARIES, failed.message)
    return f"the model did not answer {failures} canaries in a row"


async def _canary(address: str, settings: TritonServerSettings) -> None:
    generator = client(address, settings, settings.canary_timeout_seconds)
    try:
        await generator.ready()
    except Busy:
        pass  # it refuses work, so it is alive
    finally:
        await generator.close()


def _remove_shared_memory_of_the_dead() -> None:
    """What a supervisor left behind that was killed together with its leash; the prefix holds its process id."""
    for path in Path("/dev/shm").glob(f"{SHM_PREFIX}*"):
        owner = path.name.removeprefix(SHM_PREFIX).split("_")[0]
        if owner.isdigit() and (int(owner) == os.getpid() or not Path(f"/proc/{owner}").exists()):
            path.unlink(missing_ok=True)


async def warm_up(address: str, settings: TritonServerSettings) -> None:
    """Asks for a direct score of each clip. AssayError if one is not answered; nothing without an assay.toml."""
    if not (settings.checkpoint / "assay.toml").is_file():
        return
    checkpoint = read_checkpoint(settings.checkpoint)
    form = answer_form(checkpoint, "direct")
    generator = client(address, settings, settings.start_timeout_seconds)
    try:
        for clip in largest_clips(checkpoint):
            began = time.monotonic()
            asked = Conversation(question(checkpoint, "direct", is_video=clip.is_video))
            async for _ in generator.generate(clip, asked, form):
                pass
            kind = f"a clip of {len(clip.frames)} frames" if clip.is_video else "a picture"
            _log.info("warmed up with %s in %.1f s", kind, time.monotonic() - began)
    finally:
        await generator.close()


def largest_clips(checkpoint: ModelSpec) -> Iterator[Clip]:
    """A picture and a video clip of as many pixels and frames as the checkpoint allows, grey."""
    pixels, budget = checkpoint.pixels, checkpoint.clip
    unit_px = pixels.patch_px * pixels.merge
    yield Clip((_frame(pixels.max_pixels, unit_px),), is_video=False)
    count = min(budget.max_frames, max(1, math.ceil(budget.seconds * budget.frames_per_second)))
    still = _frame(pixels.video_max_pixels, unit_px).pixels
    times = [number / budget.frames_per_second for number in range(count)]
    yield Clip(tuple(Frame(still, pts_seconds) for pts_seconds in times), is_video=True)


def _frame(area: int, unit_px: int) -> Frame:
    side_px = max(1, math.isqrt(area) // unit_px) * unit_px
    return Frame(np.full((side_px, side_px, 3), 127, np.uint8))
