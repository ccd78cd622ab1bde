"""python -m services.fetch: settings in, service out."""

import asyncio

import grpc

from assay.rpc.serve import run, serve
from assay.rpc.settings import load
from assay.v1.fetch_pb2_grpc import add_FetchServiceServicer_to_server
from assay.web import Web
from services.fetch.buckets import Buckets, read_buckets
from services.fetch.service import NAME, FetchService
from services.fetch.settings import FetchSettings

_PATIENT_SECONDS = 1800.0
"""Bytes wait here while a video is scored, which is no fault of their reader."""


async def main() -> None:
    """SettingsError if the program cannot start as it is set up."""
    settings = load(FetchSettings)
    buckets = await asyncio.to_thread(read_buckets, settings.buckets) if settings.buckets else Buckets({})
    web = Web(settings.rules(), settings.limits(), authorities=settings.authorities)

    def add(server: grpc.aio.Server) -> None:
        add_FetchServiceServicer_to_server(FetchService(web, buckets, settings.max_in_flight), server)

    await serve("fetch", settings, add, [NAME], write_seconds=_PATIENT_SECONDS)


if __name__ == "__main__":
    raise SystemExit(run("services.fetch", main()))
