"""Relay: what Triton and the model write on standard error, as lines of JSON on ours, and which requests they are at.

The model's lines are JSON already and go on as they are; Triton's own, and what libraries print, become ours.
"""

import asyncio
import json
import logging
import sys
from contextlib import suppress

_log = logging.getLogger("triton")

MAX_LINE_BYTES = 1 << 20
_END_SECONDS = 2.0
_AS_TRITON = {"facts": {"program": "triton"}}


class Relay:
    """Reads until the other end is closed."""

    def __init__(self, written: asyncio.StreamReader) -> None:
        self.generations: dict[str, str] = {}
        """Those that the model is at, each with the id of its request."""
        self._reading = asyncio.create_task(self._read(written))

    async def end(self) -> None:
        """Once the processes have ended: what they wrote last."""
        await asyncio.wait([self._reading], timeout=_END_SECONDS)
        self._reading.cancel()

    async def _read(self, written: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await written.readline()
            except ValueError:
                _log.warning("a line of more than %d bytes was left out", MAX_LINE_BYTES, extra=_AS_TRITON)
                continue
            if not line:
                return
            if text := line.decode(errors="replace").strip():
                self._pass_on(text)

    def _pass_on(self, text: str) -> None:
        said = None
        with suppress(ValueError):
            said = json.loads(text)
        if not isinstance(said, dict):
            _log.warning("%s", text, extra=_AS_TRITON)
            return
        generation, request_id = str(said.get("generation", "")), str(said.get("request_id", ""))
        if said.get("message") == "generation begins":
            self.generations[generation] = request_id
        elif said.get("message") == "generation ended":
            self.generations.pop(generation, None)
        print(text, file=sys.stderr, flush=True)
