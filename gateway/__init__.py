"""The gateway: the only program that clients talk to."""

from assay.rpc.environment import silence_grpc

silence_grpc()
