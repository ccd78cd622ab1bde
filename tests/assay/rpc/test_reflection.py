"""assay/rpc/reflection.py: the same answers by both of its names."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from assay.rpc.channel import channel
from assay.rpc.serve import listening

OURS = "assay.v1.AssayService"


async def asked(version, **question):
    request = reflection_pb2.ServerReflectionRequest(**question)
    async with listening("127.0.0.1:0", lambda server: None, [OURS]) as (_, address), channel(address) as to:
        call = to.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )(iter([request]))
        return await call.read()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_services_are_listed(version):
    listed = await asked(version, list_services="")
    names = {each.name for each in listed.list_services_response.service}
    assert {OURS, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= names


@pytest.mark.parametrize("symbol", [OURS, "grpc.reflection.v1.ServerReflection"])
async def test_a_service_is_described_with_all_that_it_imports(symbol):
    described = await asked("v1", file_containing_symbol=symbol)
    files = [FileDescriptorProto.FromString(each) for each in described.file_descriptor_response.file_descriptor_proto]
    assert {name for file in files for name in file.dependency} <= {file.name for file in files}
