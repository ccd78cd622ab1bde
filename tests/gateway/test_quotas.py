"""gateway/quotas.py: what a tenant may use, in process and in Redis."""

import shutil
import signal
import socket
import subprocess
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from assay.errors import QuotaExceeded
from gateway.quotas import QuotaLimits, Quotas


async def used(quotas, tenant="acme", times=1, **spent):
    for _ in range(times):
        async with quotas.request(tenant):
            pass
        await quotas.spend(tenant, **{"num_bytes": 0, "tokens": 0, **spent})


@pytest.fixture
def redis(tmp_path):
    """The address of a Redis of this test's own."""
    if not (program := shutil.which("redis-server")):
        pytest.skip("redis-server (Debian's package) is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    running = subprocess.Popen([program, *settings], stdout=subprocess.PIPE, text=True)
    for line in running.stdout:
        if "Ready to accept connections" in line:
            break
    yield f"redis://127.0.0.1:{port}/0", running
    running.kill()
    running.wait()


async def test_one_more_call_in_a_second_is_refused_and_says_when_to_come_again():
    quotas = Quotas(QuotaLimits(calls_per_second=3))
    with pytest.raises(QuotaExceeded, match="3 calls a second") as refused:
        await used(quotas, times=20)
    assert 0 < refused.value.retry_seconds <= 1


async def test_one_tenant_does_not_use_up_what_another_may():
    quotas = Quotas(QuotaLimits(in_flight=1))
    async with quotas.request("acme"):
        await used(quotas, "other")
        with pytest.raises(QuotaExceeded, match="1 requests at once"):
            await used(quotas, "acme")
    await used(quotas, "acme")


@pytest.mark.parametrize(("limit", "spent"), [("bytes_per_minute", "num_bytes"), ("tokens_per_minute", "tokens")])
async def test_what_was_spent_counts_against_the_next_request(limit, spent):
    quotas = Quotas(QuotaLimits(**{limit: 100}))
    await used(quotas, **{spent: 150})
    with pytest.raises(QuotaExceeded, match="a minute") as refused:
        await used(quotas)
    assert 1 < refused.value.retry_seconds <= 60


async def test_without_limits_nothing_is_refused():
    await used(Quotas(QuotaLimits()), times=50, num_bytes=1 << 40, tokens=1 << 40)


async def test_two_gateways_count_together_in_redis(redis):
    limits = QuotaLimits(tokens_per_minute=100, redis=redis[0])
    await used(Quotas(limits), tokens=150)
    with pytest.raises(QuotaExceeded):
        await used(Quotas(limits))


async def test_while_redis_is_down_this_process_counts_and_says_so(redis, caplog):
    quotas = Quotas(QuotaLimits(tokens_per_minute=100, redis=redis[0]))
    redis[1].kill()
    redis[1].wait()
    before = REGISTRY.get_sample_value("assay_quota_store_failures_total")
    await used(quotas, tokens=150)
    with pytest.raises(QuotaExceeded):
        await used(quotas)
    assert REGISTRY.get_sample_value("assay_quota_store_failures_total") > before
    assert "in this process alone" in caplog.text


async def test_redis_is_asked_again_once_it_answers_and_that_is_said(redis, caplog):
    caplog.set_level("INFO")
    quotas = Quotas(QuotaLimits(calls_per_second=1, redis=redis[0]))
    redis[1].send_signal(signal.SIGSTOP)
    await used(quotas)
    redis[1].send_signal(signal.SIGCONT)
    quotas._alone_until_seconds = 0.0  # 2 s later
    await used(quotas)
    assert "Redis answers again" in caplog.text


async def test_a_request_that_is_refused_holds_nothing():
    quotas = Quotas(QuotaLimits(in_flight=2))
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(quotas.request("acme"))
        for _ in range(5):
            with pytest.raises(QuotaExceeded):
                await used(quotas)
    await used(quotas, times=5)


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


async def test_a_tenant_that_is_not_listed_is_counted_with_all_others():
    quotas = Quotas(QuotaLimits(), listed=["acme"])
    before = counted("assay_tenant_tokens_total", tenant="(others)")
    await used(quotas, "acme", tokens=5)
    await used(quotas, "a stranger", tokens=7)
    assert counted("assay_tenant_tokens_total", tenant="acme") >= 5
    assert counted("assay_tenant_tokens_total", tenant="(others)") == before + 7
    assert counted("assay_tenant_tokens_total", tenant="a stranger") == 0


async def test_a_refusal_of_a_listed_tenant_is_counted_by_its_reason():
    quotas = Quotas(QuotaLimits(in_flight=1), listed=["acme"])
    before = counted("assay_tenant_requests_total", tenant="acme", reason="QUOTA")
    async with quotas.request("acme"):
        with pytest.raises(QuotaExceeded):
            await used(quotas)
    assert counted("assay_tenant_requests_total", tenant="acme", reason="QUOTA") == before + 1


async def test_a_redis_that_does_not_answer_is_not_asked_for_every_request():
    quotas = Quotas(QuotaLimits(tokens_per_minute=100, calls_per_second=1000, redis="redis://127.0.0.1:1/0"))
    before = counted("assay_quota_store_failures_total")
    await used(quotas, times=20)
    assert counted("assay_quota_store_failures_total") - before < 20
