"""Reflection in both of its versions: newer clients ask for v1, and grpcio-reflection has v1alpha alone.

The two are the same but for the package's name.
"""

from collections.abc import Sequence

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"
_METHOD = "ServerReflectionInfo"


def enable_reflection(service_names: Sequence[str], server: grpc.aio.Server) -> None:
    """Lets clients list and describe the services."""
    _register_v1()
    servicer = reflection.aio.ReflectionServicer([*service_names, reflection.SERVICE_NAME, V1])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (reflection.SERVICE_NAME, V1):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {_METHOD: handler}),))


def _register_v1() -> None:
    """Puts the service among those that can be described."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    file = text_format.Parse(str(alpha).replace("v1alpha", "v1"), FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
