"""Client: AsyncClient for programs without an event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Self, TypeVar, Unpack

from assay.client.calls import DEFAULT_SERVER, AsyncClient, FileQuestion
from assay.client.judgement import Judgement
from assay.client.live import LiveSource, LiveWindow
from assay.client.upload import Source
from assay.v1 import event_pb2

T = TypeVar("T")


class Client:
    """Scores files at one server; may be used from several threads."""

    def __init__(self, server: str = DEFAULT_SERVER, **options: Any) -> None:
        """As AsyncClient; starts the thread on which the calls run."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="assay-client", daemon=True)
        self._thread.start()
        self._client = self._run(_made(server, options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends calls in flight, closes the connection and the thread."""
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def score(self, source: Source, **asked: Unpack[FileQuestion]) -> Judgement:
        """As AsyncClient.score."""
        return self._run(self._client.score(source, **asked))

    def events(self, source: Source, **asked: Unpack[FileQuestion]) -> Iterator[event_pb2.ScoreEvent]:
        """As AsyncClient.events."""
        return self._each(self._client.events(source, **asked))

    def live(self, source: LiveSource, **options: Any) -> Iterator[LiveWindow]:
        """As AsyncClient.live."""
        return self._each(self._client.live(source, **options))

    def _each(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        try:
            while (item := self._run(_next(items))) is not None:
                yield item
        finally:
            self._run(items.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C reaches this thread only; the call on the other one must end too.
            future.cancel()
            raise


async def _made(server: str, options: dict[str, Any]) -> AsyncClient:
    # On the loop's own thread, because a channel belongs to the loop that runs when it is made.
    return AsyncClient(server, **options)


async def _next(items: AsyncGenerator[T, None]) -> T | None:
    return await anext(items, None)
