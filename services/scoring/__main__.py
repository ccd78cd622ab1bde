"""python -m services.scoring: settings in, service out."""

import asyncio

import grpc

from assay.checkpoint import read_checkpoint
from assay.rpc.model import LiveModel
from assay.rpc.security import triton_files
from assay.rpc.serve import run, serve
from assay.rpc.settings import load
from assay.triton import TritonGenerator
from assay.v1.scoring_pb2_grpc import add_ScoringServiceServicer_to_server
from services.scoring.score import refuse_unusable
from services.scoring.service import NAME, ScoringService
from services.scoring.settings import ScoringSettings, read_tenants


async def main() -> None:
    """SettingsError or CheckpointError if the program cannot start as it is set up."""
    settings = load(ScoringSettings)
    checkpoint = await asyncio.to_thread(read_checkpoint, settings.checkpoint)
    refuse_unusable(checkpoint)
    composites = await asyncio.to_thread(read_tenants, settings.composites) if settings.composites else {}
    generator = TritonGenerator(
        settings.triton, idle_timeout_seconds=settings.idle_timeout_seconds, files=triton_files(settings)
    )
    model = LiveModel(generator.ready, settings.fingerprint, generator.replica_fingerprints)

    def add(server: grpc.aio.Server) -> None:
        service = ScoringService(generator, checkpoint, model, settings, composites)
        add_ScoringServiceServicer_to_server(service, server)

    await serve("scoring", settings, add, [NAME], ready=model.check, on_drain=generator.close)


if __name__ == "__main__":
    raise SystemExit(run("services.scoring", main()))
