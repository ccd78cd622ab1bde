"""Scorings of uploads: an answer that goes on while a page is reloaded, and is sent again from any event on."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from assay.errors import AssayError
from gateway.http.calls import counted

Make = Callable[[], AsyncGenerator[Any, None]]


class Scoring:
    """One call whose events are stored; it is cancelled once nobody has listened to it for a while."""

    def __init__(self, method: str, make: Make, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._events: list[Any] = []
        self._failure: AssayError | None = None
        self._is_over = False
        self._listeners = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._run(method, make))

    async def events(self, after: int = 0) -> AsyncGenerator[Any, None]:
        """Events behind the first `after` ones, those to come included. Raises the AssayError that ends the call."""
        self._join()
        try:
            while True:
                while after < len(self._events):
                    yield self._events[after]
                    after += 1
                if self._is_over:
                    if self._failure:
                        raise self._failure
                    return
                await self._more_than(after)
        finally:
            self._leave()

    async def _more_than(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: count < len(self._events) or self._is_over)

    async def cancel(self) -> None:
        """Ends the call."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, method: str, make: Make) -> None:
        try:
            with counted(method):
                async with aclosing(make()) as events:
                    async for event in events:
                        self._events.append(event)
                        await self._tell()
        except AssayError as error:
            self._failure = error
        except asyncio.CancelledError:
            self._failure = AssayError("the call was cancelled, as nobody listened to it; score the upload again")
            raise
        finally:
            self._is_over = True
            await asyncio.shield(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _join(self) -> None:
        self._listeners += 1
        if self._leaving:
            self._leaving.cancel()

    def _leave(self) -> None:
        self._listeners -= 1
        if not self._listeners and not self._is_over:
            self._leaving = asyncio.get_running_loop().call_later(self._patience_seconds, self._task.cancel)


class Scorings:
    """The scorings of all uploads, by upload and config: asking again joins the call that is under way or over."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._by_upload: dict[str, dict[bytes, Scoring]] = {}

    def of(self, upload_id: str, config: bytes, method: str, make: Make) -> Scoring:
        """The scoring of an upload under a serialised config, begun if there is none."""
        scorings = self._by_upload.setdefault(upload_id, {})
        if config not in scorings:
            scorings[config] = Scoring(method, make, self._patience_seconds)
        return scorings[config]

    async def forget(self, upload_id: str) -> None:
        """Ends what is under way for an upload."""
        for scoring in self._by_upload.pop(upload_id, {}).values():
            await scoring.cancel()

    async def close(self) -> None:
        """Ends all."""
        for upload_id in list(self._by_upload):
            await self.forget(upload_id)
