"""python -m tests.load overload|cancel: more clients than there are places, and clients that leave at any moment.

The gateway, both services, their sockets and the SDK are real; the model is scripted and takes a fixed time, so that
the places decide and not this machine's speed. Under `overload` the programs have a process of their own (`serve`).
Exit code 1 if a figure is not what is aimed at.
"""

import argparse
import asyncio
import io
import random
import statistics
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from assay.client import AsyncClient, Client, Credentials
from assay.errors import AssayError, Busy, QuotaExceeded
from assay.form import Form
from assay.frame import Clip
from assay.generator import Conversation, Event
from assay.rpc.authentication import Tokens
from assay.rpc.call import SCOPES as ALL
from assay.rpc.call import Identity
from assay.rpc.security import Security
from gateway.__main__ import SCOPES
from gateway.decode.jobs import DecodePool
from tests.gateway.serving import gateway
from tests.media.build import media
from tests.scripted_generator import ScriptedGenerator

PLACES = 4
_PICTURE = media("jpeg.jpg").read_bytes()
_LONGEST_QUEUE = 0.4
"""Of a service: with it an accepted call cannot take 1.5 times as long as one that finds a place free."""
_UNLIMITED_SECONDS = 30.0
_RELEASE_SECONDS = 2.0
_REFUSALS = {"BUSY", "QUOTA"}


@dataclass
class SlowGenerator(ScriptedGenerator):
    """Takes a fixed time for each generation."""

    seconds: float = 0.25

    async def generate(self, clip: Clip, conversation: Conversation, form: Form) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(self.seconds)
        async for event in super().generate(clip, conversation, form):
            yield event


@dataclass
class Outcomes:
    """What came of the calls of one tenant."""

    accepted_seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    queued_seconds: list[float] = field(default_factory=list)
    """For which accepted calls waited for a place, as the server says."""
    without_delay: int = 0
    others: list[str] = field(default_factory=list)
    """Ends that are neither a result nor a refusal with a reason."""

    @property
    def offered(self) -> int:
        return len(self.accepted_seconds) + len(self.refused_seconds) + len(self.others)

    @property
    def accepted_share(self) -> float:
        return len(self.accepted_seconds) / self.offered

    def p99(self) -> float:
        return _p99(self.accepted_seconds)


class _Names:
    """Tokens whose tenant is what they say."""

    def identity(self, token: str) -> Identity:
        return Identity(token, token, frozenset(ALL))


@dataclass
class Load:
    """A gateway under load, and its clients."""

    address: str
    service_seconds: float

    @property
    def capacity(self) -> float:
        """Calls a second that the places can serve."""
        return PLACES / self.service_seconds

    async def one(self, client: AsyncClient | Client, outcomes: Outcomes) -> None:
        """A call that is made once: an open file cannot be sent again."""
        source, started = io.BytesIO(_PICTURE), time.perf_counter()
        try:
            if isinstance(client, Client):
                judgement = await asyncio.to_thread(client.score, source, form="direct")
            else:
                judgement = await client.score(source, form="direct")
            outcomes.queued_seconds.append(judgement.usage.queued_seconds)
            outcomes.accepted_seconds.append(time.perf_counter() - started)
        except (Busy, QuotaExceeded) as refused:
            outcomes.refused_seconds.append(time.perf_counter() - started)
            outcomes.without_delay += not refused.retry_seconds
        except AssayError as error:
            outcomes.others.append(error.reason)

    def client(self, tenant: str, priority: str = "interactive", kind: Any = AsyncClient) -> Any:
        return kind(self.address, credentials=Credentials(token=tenant), priority=priority)

    async def flood(self, times: float, seconds: float, clients: Iterable[Any]) -> Outcomes:
        """Offers `times` the capacity, evenly, through the clients in turn."""
        outcomes, clients = Outcomes(), list(clients)
        every_seconds = 1 / self.capacity / times
        # The first ones come a quarter of a service apart, as places that end together would free a queue at once.
        async with asyncio.TaskGroup() as group:
            started, count = time.perf_counter(), 0
            while (now := time.perf_counter() - started) < seconds:
                group.create_task(self.one(clients[count % len(clients)], outcomes))
                count += 1
                pause = max(every_seconds, self.service_seconds / PLACES) if count < PLACES else every_seconds
                await asyncio.sleep(max(0.0, now + pause - (time.perf_counter() - started)))
        return outcomes

    async def back_to_back(self, client: Any, seconds: float, at_once: int = 1) -> Outcomes:
        """So many callers, each of which calls again once it has its answer."""
        outcomes = Outcomes()

        async def caller(number: int) -> None:
            await asyncio.sleep(number * self.service_seconds / at_once)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                await self.one(client, outcomes)

        await asyncio.gather(*(caller(number) for number in range(at_once)))
        return outcomes


@asynccontextmanager
async def loaded(
    pool: DecodePool, service_seconds: float, queue_seconds: float = _UNLIMITED_SECONDS
) -> AsyncIterator[Load]:
    """PLACES places, and one more request whose file may wait, for so long."""
    model = SlowGenerator(seconds=service_seconds)
    security = Security(tokens=Tokens([_Names()]), scopes=SCOPES)  # type: ignore[list-item]
    limits = {"max_in_flight": PLACES, "max_queued": 1, "queue_seconds": queue_seconds}
    async with gateway(pool, model, model, security=security, **limits) as caller:
        yield Load(caller.address, service_seconds)


@asynccontextmanager
async def loaded_alone(service_seconds: float, queue_seconds: float) -> AsyncIterator[Load]:
    """As `loaded`, in a process of its own: who offers calls takes no time from who answers them."""
    options = f"serve --service-seconds {service_seconds} --queue-seconds {queue_seconds}".split()
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.load", *options, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield Load((await server.stdout.readline()).decode().strip(), service_seconds)
    finally:
        server.stdin.close()
        await server.wait()


async def _serve(service_seconds: float, queue_seconds: float) -> int:
    """Until standard input ends."""
    async with DecodePool(workers=2, spares=0) as pool, loaded(pool, service_seconds, queue_seconds) as load:
        print(load.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return 0


async def overload(load: Load, seconds: float, times: float = 4.0) -> tuple[float, Outcomes, Outcomes]:
    """Calls a second that the places serve when they are just full, what became of these, and of `times` as many."""
    async with load.client("a") as client:
        calm = await load.back_to_back(client, seconds / 4, at_once=PLACES)
        with load.client("a", kind=Client) as synchronous:
            flooded = await load.flood(times, seconds, [client, synchronous])
    return len(calm.accepted_seconds) / (seconds / 4), calm, flooded


async def live_during_batch(load: Load, seconds: float) -> tuple[Outcomes, Outcomes]:
    """Live calls, one after the other, alone and while batch calls come four times as fast as they can be served."""
    async with load.client("camera", "live") as live, load.client("bulk", "batch") as bulk:
        alone = await load.back_to_back(live, seconds / 2)
        flooding = asyncio.create_task(load.flood(4.0, seconds + load.service_seconds, [bulk]))
        await asyncio.sleep(load.service_seconds)
        flooded = await load.back_to_back(live, seconds)
        await flooding
    return alone, flooded


async def tenants(load: Load, seconds: float, small: float, big: float) -> tuple[Outcomes, Outcomes]:
    """Two tenants that offer so many times the capacity."""
    async with load.client("small") as one, load.client("big") as other:
        return tuple(await asyncio.gather(load.flood(small, seconds, [one]), load.flood(big, seconds, [other])))


async def cancel(pool: DecodePool, count: int, at_once: int = 20) -> dict[str, int]:
    """Cancels calls at random moments; what is still held two seconds after the last."""
    model = SlowGenerator(seconds=0.02)
    async with gateway(pool, model, model, max_in_flight=at_once) as caller, AsyncClient(caller.address) as client:
        limit = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with limit:
                with suppress(TimeoutError, AssayError):
                    async with asyncio.timeout(random.uniform(0, 0.3)):
                        await client.score(media("jpeg.jpg"), form="direct")

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


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[max(0, round(0.99 * len(seconds)) - 1)]


def _figure(said: str, value: float, is_met: bool) -> bool:
    print(f"{said}: {value:.3g}{'' if is_met else '   NOT MET'}", flush=True)
    return is_met


async def _overloaded(load: Load, seconds: float) -> bool:
    served, calm, flooded = await overload(load, seconds)
    goodput = len(flooded.accepted_seconds) / seconds / served
    untyped = len(flooded.others) + flooded.without_delay
    print(f"of it in the queue, p99: {_p99(flooded.queued_seconds) / load.service_seconds:.3f} of a service")
    refused_ms = 1000 * statistics.median(flooded.refused_seconds)
    print(f"{flooded.offered} calls in {seconds:g} s, {flooded.offered / seconds / served:.2f}x of {served:.3g}/s")
    met = [
        _figure("goodput, of what just full places serve (>= 0.9)", goodput, goodput >= 0.9),
        _figure(
            "p99 of accepted calls, of the one just full (<= 1.5)", ratio := flooded.p99() / calm.p99(), ratio <= 1.5
        ),
        _figure("calls that ended without a result or a refusal with a delay (0)", untyped, untyped == 0),
        _figure("median refusal, ms (<= 10)", refused_ms, refused_ms <= 10),
    ]
    return all(met)


async def _classes(load: Load, seconds: float) -> bool:
    alone, flooded = await live_during_batch(load, seconds)
    ratio = flooded.p99() / alone.p99()
    print(f"of it in the queue, p99: {_p99(flooded.queued_seconds) / load.service_seconds:.3f} of a service")
    refused = len(flooded.refused_seconds) + len(flooded.others)
    met = [
        _figure("p99 of live during a flood of batch, of it alone (<= 1.2)", ratio, ratio <= 1.2),
        _figure("live calls that were refused (0)", refused, refused == 0),
    ]
    return all(met)


async def _fair(load: Load, seconds: float) -> bool:
    small, _ = await tenants(load, seconds, small=0.2, big=1.8)
    share = small.accepted_share
    one, other = await tenants(load, seconds, small=5.0, big=5.0)
    half = len(one.accepted_seconds) / (len(one.accepted_seconds) + len(other.accepted_seconds))
    met = [
        _figure("of two tenants at 1:9 and 2x, what the small one gets of its calls (1)", share, share >= 0.99),
        _figure("of two tenants at 10x, the share of one (0.45 to 0.55)", half, 0.45 <= half <= 0.55),
    ]
    return all(met)


async def _main(what: str, seconds: float, count: int, service_seconds: float, queue_seconds: float) -> int:
    if what == "serve":
        return await _serve(service_seconds, queue_seconds)
    if what == "cancel":
        async with DecodePool(workers=2, spares=0) as pool:
            held = await cancel(pool, count)
        print(f"{count} calls cancelled; still held: {held}")
        return int(any(held.values()))
    async with loaded_alone(service_seconds, _LONGEST_QUEUE * service_seconds) as load:
        met = [await _overloaded(load, seconds), await _classes(load, seconds)]
    # A queue that is short for its service refuses the small one too, where all places are held by the other.
    async with loaded_alone(service_seconds, _UNLIMITED_SECONDS) as load:
        met.append(await _fair(load, seconds))
    return int(not all(met))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("overload", "cancel", "serve"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--service-seconds", type=float, default=2.0)
    parser.add_argument("--queue-seconds", type=float, default=_UNLIMITED_SECONDS)
    asked = parser.parse_args()
    sys.exit(asyncio.run(_main(asked.what, asked.seconds, asked.count, asked.service_seconds, asked.queue_seconds)))
