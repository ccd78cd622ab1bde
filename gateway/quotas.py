"""What each tenant may use: calls, bytes and tokens by time, and requests at once."""

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.errors import StorageError

from assay.errors import AssayError, QuotaExceeded
from assay.rpc import metrics
from assay.rpc.usage import UsageMeter
from assay.v1 import event_pb2

_log = logging.getLogger(__name__)
_OTHERS = "(others)"
_ALONE_SECONDS = 2.0
"""For which Redis is not asked after it did not answer."""
_COUNT = Annotated[int, Ge(0)]
_SECONDS_IN_FLIGHT = 1.0
"""After which a tenant with too many requests at once may try again."""


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Of each tenant; 0: as much as there is."""

    calls_per_second: _COUNT = 0
    """Requests that a tenant may begin in a second."""
    in_flight: _COUNT = 0
    """Requests of a tenant at once."""
    bytes_per_minute: _COUNT = 0
    """Bytes of files. What is over is found when it has come, and the next request waits."""
    tokens_per_minute: _COUNT = 0
    """Tokens that the model reads and writes, likewise."""
    redis: str = ""
    """redis://HOST:PORT/DB, where several gateways count together; empty: each for itself, in memory."""


class Quotas:
    """Counts what tenants use. Where Redis does not answer this process counts for itself, and says so."""

    def __init__(self, limits: QuotaLimits, listed: Collection[str] = ()) -> None:
        """Tenants that are `listed` have metrics of their own; all others have some together."""
        self._limits = limits
        self._listed = frozenset(listed)
        self._memory = MemoryStorage()
        self._shared: Storage | None = None
        if limits.redis:
            url = limits.redis.replace("redis://", "async+redis://", 1)
            timeouts: dict[str, Any] = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
            self._shared = RedisStorage(url, wrap_exceptions=True, implementation="redispy", **timeouts)
        self._is_alone, self._alone_until_seconds = False, 0.0
        self._in_flight: Counter[str] = Counter()
        self._calls = RateLimitItemPerSecond(limits.calls_per_second or 1)
        self._spent = {
            "bytes": (RateLimitItemPerMinute(limits.bytes_per_minute or 1, namespace="bytes"), limits.bytes_per_minute),
            "tokens": (
                RateLimitItemPerMinute(limits.tokens_per_minute or 1, namespace="tokens"),
                limits.tokens_per_minute,
            ),
        }

    @property
    def in_flight(self) -> Counter[str]:
        """Requests of each tenant."""
        return self._in_flight

    @asynccontextmanager
    async def request(self, tenant: str) -> AsyncIterator[None]:
        """One request for as long as the block runs. QuotaExceeded if the tenant has used what it may."""
        limits = self._limits
        with self._counted(tenant):
            if limits.in_flight and self._in_flight[tenant] >= limits.in_flight:
                raise _exceeded(f"{limits.in_flight} requests at once", _SECONDS_IN_FLIGHT)
            await self.check_spent(tenant)
            if limits.calls_per_second and await self._add(self._calls, tenant, 1) > limits.calls_per_second:
                seconds = await self._seconds_left(self._calls, tenant)
                raise _exceeded(f"{limits.calls_per_second} calls a second", seconds)
            self._in_flight[tenant] += 1
            try:
                yield
            finally:
                self._in_flight[tenant] -= 1
                if not self._in_flight[tenant]:
                    del self._in_flight[tenant]

    async def check_spent(self, tenant: str) -> None:
        """QuotaExceeded if it has used its bytes or tokens."""
        for what, (item, most) in self._spent.items():
            if most and await self._used(item, tenant) >= most:
                raise _exceeded(f"{most} {what} a minute", await self._seconds_left(item, tenant))

    @contextmanager
    def _counted(self, tenant: str) -> Iterator[None]:
        reason = "CANCELLED"
        try:
            yield
            reason = "OK"
        except AssayError as error:
            reason = error.reason
            raise
        finally:
            metrics.TENANT_REQUESTS.labels(self._label(tenant), reason).inc()

    def _label(self, tenant: str) -> str:
        return tenant if tenant in self._listed else _OTHERS

    async def spend(self, tenant: str, *, num_bytes: int, tokens: int) -> None:
        """What a request has cost."""
        metrics.TENANT_BYTES.labels(self._label(tenant)).inc(num_bytes)
        metrics.TENANT_TOKENS.labels(self._label(tenant)).inc(tokens)
        for what, amount in (("bytes", num_bytes), ("tokens", tokens)):
            item, most = self._spent[what]
            if most and amount:
                await self._add(item, tenant, amount)

    async def _add(self, item: RateLimitItem, tenant: str, amount: int) -> int:
        return int(
            await self._asked(lambda storage: storage.incr(item.key_for(tenant), item.get_expiry(), amount=amount))
        )

    async def _used(self, item: RateLimitItem, tenant: str) -> int:
        return int(await self._asked(lambda storage: storage.get(item.key_for(tenant))))

    async def _seconds_left(self, item: RateLimitItem, tenant: str) -> float:
        """Until the window in which the tenant has used too much is over."""
        ends_at_seconds = await self._asked(lambda storage: storage.get_expiry(item.key_for(tenant)))
        return max(0.1, ends_at_seconds - time.time())

    async def _asked(self, ask: Callable[[Storage], Awaitable[float]]) -> float:
        """What Redis answers, or this process's memory where there is none or it does not answer."""
        if self._shared is not None and time.monotonic() >= self._alone_until_seconds:
            try:
                answer = await ask(self._shared)
            except StorageError as lost:
                self._lost(lost)
            else:
                self._found()
                return answer
        return await ask(self._memory)

    def _found(self) -> None:
        if self._is_alone:
            self._is_alone = False
            _log.info("Redis answers again, and quotas are counted there")

    def _lost(self, lost: StorageError) -> None:
        metrics.QUOTA_STORE_FAILURES.inc()
        # A Redis that swallows connections would otherwise hold up every request.
        self._alone_until_seconds = time.monotonic() + _ALONE_SECONDS
        if not self._is_alone:
            self._is_alone = True
            _log.warning("quotas are counted in this process alone, as Redis does not answer: %s", lost)


def _exceeded(what: str, seconds: float) -> QuotaExceeded:
    error = QuotaExceeded(f"this tenant may use {what}; come again in {seconds:.1f} s")
    error.retry_seconds = seconds
    return error


class Spending:
    """Of one call; may be settled several times."""

    def __init__(self, quotas: Quotas, tenant: str, meter: UsageMeter) -> None:
        self._quotas, self._tenant, self._meter = quotas, tenant, meter
        self._settled = UsageMeter()

    async def received(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of the file, counted."""
        async for chunk in chunks:
            self._meter.received_bytes += len(chunk)
            yield chunk

    async def settle(self) -> None:
        """Counts what has been spent since the last time."""
        meter, before = self._meter, self._settled
        received = meter.received_bytes - before.received_bytes
        prompt, answer = meter.prompt_tokens - before.prompt_tokens, meter.answer_tokens - before.answer_tokens
        self._settled = UsageMeter(meter.received_bytes, meter.prompt_tokens, meter.answer_tokens)
        metrics.RECEIVED_BYTES.inc(received)
        metrics.TOKENS.labels("prompt").inc(prompt)
        metrics.TOKENS.labels("answer").inc(answer)
        await self._quotas.spend(self._tenant, num_bytes=received, tokens=prompt + answer)

    def usage(self, media: event_pb2.MediaInfo) -> event_pb2.Usage:
        """For the end of the call, whose frames and stages are counted here."""
        usage = self._meter.to_wire()
        usage.decoded_frames, usage.sampled_frames = media.decoded_frames, media.sampled_frames
        for kind, count in (("decoded", usage.decoded_frames), ("sampled", usage.sampled_frames)):
            metrics.FRAMES.labels(kind).inc(count)
        metrics.STAGE_SECONDS.labels("decoding").observe(self._meter.decoding_seconds)
        metrics.STAGE_SECONDS.labels("engine").observe(self._meter.engine_seconds)
        return usage
