"""assay/rpc/channel.py"""

import asyncio

from grpc_health.v1 import health_pb2, health_pb2_grpc

from assay.rpc.channel import channel
from assay.rpc.serve import listening
from assay.rpc.tls import PemFiles
from tests.certificates import Authority


async def test_a_call_to_a_program_that_is_just_starting_succeeds(tmp_path):
    address = f"unix:{tmp_path}/s"
    async with channel(address) as to:
        call = asyncio.ensure_future(health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest()))
        await asyncio.sleep(0.1)
        async with listening(address, lambda server: None, []):
            assert (await call).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_certificate_for_clients_alone_does_not_ask_for_tls_on_loopback(tmp_path):
    files = PemFiles(*Authority(tmp_path).issue("gateway"))
    async with listening("127.0.0.1:0", lambda server: None, []) as (_, address), channel(address, files) as to:
        answer = await health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_peer_that_is_not_ready_gets_no_calls():
    request = health_pb2.HealthCheckRequest()
    one = listening("127.0.0.1:0", lambda server: None, [])
    other = listening("127.0.0.1:0", lambda server: None, [])
    async with one as (health, first), other as (_, second):
        await health.set(True)
        async with channel(f"ipv4:{first},{second}", follows_health=True) as to:
            answers = [await health_pb2_grpc.HealthStub(to).Check(request) for _ in range(8)]
    assert {answer.status for answer in answers} == {health_pb2.HealthCheckResponse.SERVING}
