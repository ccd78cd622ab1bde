"""Pulls a live stream from a configured place and pushes it to a gateway. Decodes nothing."""

from assay.rpc.environment import silence_grpc

silence_grpc()
