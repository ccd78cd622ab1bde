"""What the gateway asks on behalf of clients: each service a program of its own."""

from assay.rpc.environment import silence_grpc

silence_grpc()
