"""Serves clients: `python -m gateway`, settings from GATEWAY_… (see gateway/settings.py)."""

import sys
from contextlib import AsyncExitStack

import grpc

from assay.rpc import settings as environment
from assay.rpc.admission import ConcurrencyLimit
from assay.rpc.logs import log_to_stderr
from assay.rpc.security import Security, pem_files, tokens
from assay.rpc.serve import run, serve
from assay.v1 import assay_pb2, assay_pb2_grpc, live_pb2, live_pb2_grpc
from gateway.decode.jobs import DecodePool
from gateway.fetching import Fetcher
from gateway.http.server import serving_http
from gateway.live_service import LiveService
from gateway.quotas import Quotas
from gateway.request_limit import RequestLimit
from gateway.service import AssayService
from gateway.settings import GatewaySettings
from gateway.upload import UnfinishedUploads
from gateway.upstream import Upstream

SERVICES = [
    assay_pb2.DESCRIPTOR.services_by_name["AssayService"].full_name,
    live_pb2.DESCRIPTOR.services_by_name["LiveService"].full_name,
]
"""Their names, for health and reflection."""
SCOPES = {
    **{f"/{SERVICES[0]}/{name}": "score" for name in ("ScoreImage", "StreamImage", "StreamVideo")},
    f"/{SERVICES[0]}/ScoreUri": "score uri",
    f"/{SERVICES[1]}/ScoreLive": "live",
}
"""What a caller's credentials must allow, by method."""


async def main() -> None:
    settings = environment.load(GatewaySettings)
    log_to_stderr("gateway", settings.log_level)  # what the decoder finds on this machine is said before it serves
    files, accepted = pem_files(settings), tokens(settings)
    upstream = Upstream(settings.attribute_extraction, settings.scoring, files)
    fetcher = Fetcher(settings.fetch, files)

    async def ready() -> None:
        await upstream.spec("regular")

    async def close() -> None:
        await upstream.close()
        await fetcher.close()

    async with DecodePool(
        settings.decode_workers,
        settings.decode_spares,
        max_processes=settings.decode_max_processes,
        wait_seconds=settings.queue_seconds,
        upload_spool_bytes=settings.upload_spool_bytes,
        spool_bytes=settings.spool_bytes,
        jobs_per_worker=settings.decode_jobs_per_worker,
        max_idle_bytes=settings.decode_max_idle_bytes,
        require_landlock=settings.require_landlock,
    ) as decoder:
        requests = RequestLimit(settings.max_in_flight, settings.queue_seconds, settings.max_queued)
        uploads = UnfinishedUploads(settings.max_unfinished_uploads_per_peer, settings.max_unfinished_uploads)
        quotas = Quotas(settings.quotas, settings.metrics_tenants)
        service = AssayService(settings, decoder, upstream, requests, uploads, fetcher, quotas)
        streams = ConcurrencyLimit(settings.max_live_streams)
        live = LiveService(settings, upstream, streams, decoder, requests, quotas)

        def add(server: grpc.aio.Server) -> None:
            assay_pb2_grpc.add_AssayServiceServicer_to_server(service, server)
            live_pb2_grpc.add_LiveServiceServicer_to_server(live, server)

        security = Security(files, accepted, scopes=SCOPES)
        async with AsyncExitStack() as faces:
            if settings.http_address:
                bound = await faces.enter_async_context(serving_http(settings, service, live, security))
                print(f"http gateway {bound}", flush=True)
            await serve(
                "gateway",
                settings,
                add,
                SERVICES,
                ready=ready,
                on_stop=live.stop,
                on_drain=close,
                tokens=accepted,
                scopes=SCOPES,
            )


if __name__ == "__main__":
    sys.exit(run("gateway", main()))
