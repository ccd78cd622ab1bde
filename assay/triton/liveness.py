"""Liveness: what waits on a server that is stopped learns so within two seconds.

A stopped process (SIGSTOP, a frozen machine) keeps its connections: nothing fails, nothing comes. gRPC's own pings find
that after ten seconds. So while a stream is silent its server is asked whether it lives, which it answers whatever its
model does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

from assay.errors import ModelUnavailable
from assay.triton.stream import TritonStream

_SILENCE_SECONDS = 0.3
_ANSWER_SECONDS = 1.2
_PAUSE_SECONDS = 0.5
"""After an answer, before the next question: with that, a server that stops is noticed within 1.7 s."""
_STALL_SECONDS = 0.3
"""A timer that is later than this was held up by our own machine, and tells nothing of the other."""


class Liveness:
    """Asks while there are streams, once for all of them. On one event loop."""

    def __init__(self, is_live: Callable[[float], Awaitable[bool]], streams: Collection[TritonStream]) -> None:
        """`is_live` gets a timeout in seconds; `streams` is read again each time."""
        self._is_live = is_live
        self._streams = streams
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Goes on until no stream is left."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _watch(self) -> None:
        clock, pause_seconds = asyncio.get_running_loop().time, _SILENCE_SECONDS / 2
        while self._streams:
            await asyncio.sleep(pause_seconds)
            asked_at = clock()
            before = asked_at - _SILENCE_SECONDS
            silent = [each for each in self._streams if max(each.begun_at_seconds, each.heard_at_seconds) < before]
            pause_seconds = _PAUSE_SECONDS if silent else _SILENCE_SECONDS / 2
            if (
                not silent
                or await self._is_live(_ANSWER_SECONDS)
                or clock() - asked_at > _ANSWER_SECONDS + _STALL_SECONDS
            ):
                continue
            # Those too that have begun meanwhile: the server has not answered anybody since.
            for stream in tuple(self._streams):
                if stream.heard_at_seconds < asked_at:
                    stream.fail(ModelUnavailable("The model server does not answer at the moment; try again."))
