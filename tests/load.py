"""python -m tests.load overload|cancel: more clients than there are places, and clients that leave at any moment.

The gateway, both services and their sockets are real; the model is scripted and takes a fixed time, so that counts and
not this machine's speed decide. Exit code 1 if a figure is not what is aimed at.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

import grpc

from assay.errors import AssayError, Busy, QuotaExceeded
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event
from assay.rpc.errors import error_from
from assay.v1 import assay_pb2
from gateway.decode.jobs import DecodePool
from tests.gateway.serving import Caller, gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

PLACES = 4
_RELEASE_SECONDS = 2.0


@dataclass
class SlowGenerator(ScriptedGenerator):
    """Takes a fixed time for each generation."""

    seconds: float = 0.25

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(self.seconds)
        async for event in super().generate(clip, conversation, form):
            yield event


async def overload(pool: DecodePool, seconds: float, times: float = 4.0) -> Counter[str]:
    """Offers `times` what the places can serve, evenly; outcomes by reason, and how many refusals had no delay."""
    model, outcomes = SlowGenerator(), Counter[str]()
    async with gateway(pool, model, model, max_in_flight=PLACES, max_queued=1) as caller:

        async def one(tenant: str) -> None:
            try:
                await _score(caller, tenant)
                outcomes["OK"] += 1
            except AssayError as error:
                outcomes[error.reason] += 1
                if isinstance(error, Busy | QuotaExceeded) and not error.retry_seconds:
                    outcomes["without a delay"] += 1

        every_seconds = model.seconds / PLACES / times
        async with asyncio.TaskGroup() as group:
            for _ in range(round(seconds / every_seconds)):
                group.create_task(one("a"))
                await asyncio.sleep(every_seconds)
    outcomes["capacity"] = round(seconds * PLACES / model.seconds)
    return outcomes


async def cancel(pool: DecodePool, count: int, at_once: int = 20) -> dict[str, int]:
    """Cancels calls at random moments; what is still held two seconds after the last."""
    model = SlowGenerator(seconds=0.02)
    async with gateway(pool, model, model, max_in_flight=at_once) as caller:
        limit = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with limit:
                with suppress(TimeoutError, AssayError, asyncio.CancelledError):
                    async with asyncio.timeout(random.uniform(0, 0.3)):
                        await _score(caller, "")

        await asyncio.gather(*(one() for _ in range(count)))
        _, service, _ = caller.program

        def held() -> dict[str, int]:
            return {
                "places": service.requests.taken,
                "uploads": service.uploads.count,
                "generations": model.in_flight,
                "quotas": len(service.quotas.in_flight),
            }

        with suppress(TimeoutError):
            async with asyncio.timeout(_RELEASE_SECONDS):
                while any(held().values()):  # noqa: ASYNC110 four things, none of which tells
                    await asyncio.sleep(0.01)
        return held()


async def _score(caller: Caller, tenant: str) -> None:
    data = media("jpeg.jpg").read_bytes()
    parts = [assay_pb2.StreamImageRequest(config=assay_pb2.ScoreConfig(form=1))]
    parts += [assay_pb2.StreamImageRequest(chunk=data)]
    call = caller.stub.StreamImage(iter(parts))
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as failed:
        raise error_from(failed, "the gateway") from None
    finally:
        call.cancel()


async def _main(what: str, seconds: float, count: int) -> int:
    async with DecodePool(workers=2, spares=0) as pool:
        if what == "cancel":
            held = await cancel(pool, count)
            print(f"{count} calls cancelled; still held: {held}")
            return int(any(held.values()))
        outcomes = await overload(pool, seconds)
    goodput = outcomes["OK"] / outcomes["capacity"]
    print(f"{dict(outcomes)}; goodput {goodput:.0%} of capacity")
    untyped = outcomes.keys() - {"OK", "BUSY", "QUOTA", "capacity"}
    return int(goodput < 0.9 or bool(untyped))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("overload", "cancel"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    sys.exit(asyncio.run(_main(options.what, options.seconds, options.count)))
