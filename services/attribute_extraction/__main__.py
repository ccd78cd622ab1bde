"""python -m services.attribute_extraction: settings in, service out."""

import asyncio

import grpc

from assay.checkpoint import read_checkpoint
from assay.rpc.model import LiveModel
from assay.rpc.security import triton_files
from assay.rpc.serve import run, serve
from assay.rpc.settings import load
from assay.triton import TritonGenerator
from assay.v1.attribute_extraction_pb2_grpc import add_AttributeExtractionServiceServicer_to_server
from services.attribute_extraction.extract import refuse_unusable
from services.attribute_extraction.service import NAME, AttributeExtractionService
from services.attribute_extraction.settings import AttributeExtractionSettings


async def main() -> None:
    """SettingsError or CheckpointError if the program cannot start as it is set up."""
    settings = load(AttributeExtractionSettings)
    checkpoint = await asyncio.to_thread(read_checkpoint, settings.checkpoint)
    refuse_unusable(checkpoint)
    generator = TritonGenerator(
        settings.triton, idle_timeout_seconds=settings.idle_timeout_seconds, files=triton_files(settings)
    )
    model = LiveModel(generator.ready, settings.fingerprint, generator.replica_fingerprints)

    def add(server: grpc.aio.Server) -> None:
        service = AttributeExtractionService(generator, checkpoint, model, settings)
        add_AttributeExtractionServiceServicer_to_server(service, server)

    await serve("attribute_extraction", settings, add, [NAME], ready=model.check, on_drain=generator.close)


if __name__ == "__main__":
    raise SystemExit(run("services.attribute_extraction", main()))
