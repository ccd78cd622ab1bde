"""assay/rpc/channel.py"""

import asyncio

from grpc_health.v1 import health_pb2, health_pb2_grpc

from assay.rpc.channel import channel
from assay.rpc.serve import listening


async def test_a_call_to_a_program_that_is_just_starting_succeeds(tmp_path):
    address = f"unix:{tmp_path}/s"
    async with channel(address) as to:
        call = asyncio.ensure_future(health_pb2_grpc.HealthStub(to).Check(health_pb2.HealthCheckRequest()))
        await asyncio.sleep(0.1)
        async with listening(address, lambda server: None, []):
            assert (await call).status == health_pb2.HealthCheckResponse.NOT_SERVING
