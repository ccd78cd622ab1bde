"""A stack for what runs on an event loop: started, watched and stopped on a thread of its own."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from assay.stack import Stack


@asynccontextmanager
async def running(stack: Stack, *, restarts: bool = False) -> AsyncIterator[Stack]:
    """The stack for the length of the block; with `restarts` programs that end are started again."""
    loop = asyncio.get_running_loop()
    # One thread for the whole life of the stack, see Program.
    with ThreadPoolExecutor(1, thread_name_prefix="stack") as thread:
        starting = loop.run_in_executor(thread, stack.start)
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            stack.give_up()
            await asyncio.wait([starting])
            raise
        keeping = asyncio.create_task(_keep_running(stack, thread)) if restarts else None
        try:
            yield stack
        finally:
            if keeping:
                keeping.cancel()
            await loop.run_in_executor(thread, stack.stop)


async def _keep_running(stack: Stack, thread: ThreadPoolExecutor) -> None:
    while True:
        await asyncio.get_running_loop().run_in_executor(thread, stack.keep_running)
        await asyncio.sleep(0.1)
