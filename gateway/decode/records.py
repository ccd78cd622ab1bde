"""What a worker says in JSON, checked field by field. In the gateway alone: a worker does without pydantic."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from assay.errors import AssayError, BadMedia, InvalidRequest, OverLimit
from gateway.decode.protocol import Kind, ProtocolError
from gateway.decode.spec import DecodeSummary, Lost, MediaInfo, ShortText


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job has failed."""

    kind: Literal["BadMedia", "OverLimit", "InvalidRequest"]
    """A worker can only name the three kinds that a file can cause."""
    message: ShortText
    field: ShortText
    detail: ShortText
    """For the log."""
    budget: ShortText = ""

    @property
    def error(self) -> AssayError:
        """For the client."""
        if self.kind == "OverLimit":
            return OverLimit(self.message, field=self.field, budget=self.budget)
        return (BadMedia if self.kind == "BadMedia" else InvalidRequest)(self.message, field=self.field)


_ADAPTERS: dict[Kind, TypeAdapter[Any]] = {
    Kind.INFO: TypeAdapter(MediaInfo),
    Kind.LOST: TypeAdapter(Lost),
    Kind.SUMMARY: TypeAdapter(DecodeSummary),
    Kind.ERROR: TypeAdapter(JobError),
    Kind.ESCAPED: TypeAdapter(dict[ShortText, ShortText]),
}


def record_of(kind: Kind, body: bytes) -> Any:
    """MediaInfo, Lost, DecodeSummary, JobError; of ESCAPED what came of each attempt. ProtocolError for nonsense."""
    try:
        return _ADAPTERS[kind].validate_json(body, strict=True)
    except ValidationError as nonsense:
        first = nonsense.errors()[0]
        raise ProtocolError(f"{kind.name}: {first['loc']}: {first['msg']}") from nonsense
