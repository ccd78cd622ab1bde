"""Spending: what a call costs, into its result, the metrics and its tenant's quota."""

from collections.abc import AsyncIterator

from assay.rpc import metrics
from assay.rpc.usage import UsageMeter
from assay.v1 import event_pb2
from gateway.quotas import Quotas


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
