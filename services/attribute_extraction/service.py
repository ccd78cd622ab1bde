"""The gRPC edge of attribute extraction. It only translates."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import grpc

from assay.attribute import Attribute
from assay.checkpoint import ModelSpec
from assay.cot import Reasoning
from assay.generator import Generator
from assay.rpc.admission import ConcurrencyLimit
from assay.rpc.call import request_id
from assay.rpc.model import LiveModel
from assay.rpc.streams import Put, batches
from assay.rpc.upload import Upload
from assay.rpc.usage import usage_meter
from assay.v1 import attribute_extraction_pb2 as pb
from assay.v1.attribute_extraction_pb2_grpc import AttributeExtractionServiceServicer
from assay.wire import attribute_to_wire, form_from_wire, spec_to_wire, transcript_to_wire
from services.attribute_extraction.extract import Extracted, extract
from services.attribute_extraction.settings import AttributeExtractionSettings

NAME = pb.DESCRIPTOR.services_by_name["AttributeExtractionService"].full_name
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class AttributeExtractionService(AttributeExtractionServiceServicer):
    """Serves one checkpoint through one generator."""

    generator: Generator
    checkpoint: ModelSpec
    model: LiveModel
    settings: AttributeExtractionSettings = field(default_factory=AttributeExtractionSettings)
    _places: ConcurrencyLimit = field(init=False)

    def __post_init__(self) -> None:
        self._places = ConcurrencyLimit(self.settings.max_in_flight)

    async def ExtractAttributes(  # noqa: N802 the name is the contract's
        self, request_iterator: AsyncIterator[pb.ExtractAttributesRequest], context: Context
    ) -> AsyncGenerator[pb.ExtractAttributesResponse, None]:
        with self._places.one():
            upload = Upload[pb.ExtractionConfig](request_iterator, self.settings.idle_timeout_seconds)
            config = await upload.config()
            request_id.set(config.request_id)
            clip = await upload.clip(config.clip, self.checkpoint)
            await upload.end()
            form_name = form_from_wire(config.form)

            async def write(put: Put[Extracted]) -> None:
                async with aclosing(
                    extract(self.generator, self.checkpoint, form_name, clip, config.tenant)
                ) as extracted:
                    async for each in extracted:
                        await put(each)

            async with aclosing(batches(write)) as moments:
                async for moment in moments:
                    yield pb.ExtractAttributesResponse(events=map(_to_wire, _joined(moment)))

    async def DescribeModel(  # noqa: N802 the name is the contract's
        self, request: pb.AttributeExtractionServiceDescribeModelRequest, context: Context
    ) -> pb.AttributeExtractionServiceDescribeModelResponse:
        answer = await self.model.last_answer()
        spec = spec_to_wire(self.checkpoint, answer.checkpoint_fingerprint, answer.warnings)
        return pb.AttributeExtractionServiceDescribeModelResponse(spec=spec)


def _joined(moment: Sequence[Extracted]) -> Iterator[Extracted]:
    """The same with pieces of text that follow one another as one."""
    for is_text, extracted in groupby(moment, lambda each: isinstance(each, Reasoning)):
        if is_text:
            yield Reasoning("".join(each.text for each in extracted if isinstance(each, Reasoning)))
        else:
            yield from extracted


def _to_wire(extracted: Extracted) -> pb.ExtractionEvent:
    match extracted:
        case Reasoning(text):
            return pb.ExtractionEvent(reasoning=text)
        case Attribute():
            return pb.ExtractionEvent(attribute=attribute_to_wire(extracted))
    transcript = transcript_to_wire(extracted)
    transcript.usage.CopyFrom(usage_meter().to_wire())
    return pb.ExtractionEvent(transcript=transcript)
