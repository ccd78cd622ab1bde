"""assay/rpc/usage.py: what a call has cost, counted by every program for its part."""

import asyncio

from assay.rpc.usage import UsageMeter, begin_metering, usage_meter


def test_generations_add_up_and_are_read_back_upstream():
    below, above = UsageMeter(), UsageMeter()
    below.add_generation(100, 20, 0.5)
    below.add_generation(10, 2, 0.25)
    above.add_upstream(below.to_wire())
    assert (above.prompt_tokens, above.answer_tokens, above.engine_seconds) == (110, 22, 0.75)


def test_times_are_reported_to_the_nanosecond():
    usage = UsageMeter(queued_seconds=0.000_000_001, decoding_seconds=1.5).to_wire()
    assert (usage.queued.ToNanoseconds(), usage.decoding.ToMilliseconds()) == (1, 1500)


async def test_every_task_of_a_call_counts_into_one_meter():
    meter = begin_metering()

    async def receive():
        usage_meter().received_bytes += 10

    await asyncio.gather(receive(), receive())
    assert meter.received_bytes == 20


async def test_another_call_has_a_meter_of_its_own():
    async def metered() -> UsageMeter:
        return begin_metering()

    one, other = await asyncio.gather(asyncio.create_task(metered()), asyncio.create_task(metered()))
    assert one is not other
