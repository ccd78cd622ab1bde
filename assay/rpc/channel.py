"""Channels to other programs of Assay."""

import grpc

from assay.rpc.options import CHANNEL


def channel(address: str) -> grpc.aio.Channel:
    """A channel to HOST:PORT or unix:PATH that finds a frozen peer and retries UNAVAILABLE before the first answer.

    Nothing is connected before the first call. The network between our programs is the cluster's; no TLS here.
    """
    return grpc.aio.insecure_channel(address, options=CHANNEL)
