"""The rules in the protos, applied to every message that comes in."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from assay.errors import InvalidRequest

Violations = tuple[tuple[str, str], ...]
"""Path of the field, such as "config.clip.pts_seconds[1]", and what is wrong with it."""

_MAX_DURATION_SECONDS = 315_576_000_000
"""Ten thousand years, as google/protobuf/duration.proto says."""


class InvalidMessage(InvalidRequest):
    """A message breaks rules of its proto; all of them are reported at once."""

    def __init__(self, violations: Violations) -> None:
        field, words = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{field}: {words}{more}", field=field)
        self.violations = violations


def check(message: Message) -> None:
    """InvalidMessage if the message breaks a rule of its proto."""
    broken = tuple((_path(each.proto), str(each.proto.message)) for each in protovalidate.collect_violations(message))
    if violations := (*_malformed(message), *broken):
        raise InvalidMessage(violations)


def _path(violation: Any) -> str:
    parts = []
    for element in violation.field.elements if violation.field else ():
        key = f"[{element.subscript.value}]" if element.subscript else ""
        parts.append(f"{element.field_name}{key}")
    return ".".join(parts)


def _malformed(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """The durations that are none by google.protobuf's own rule, which protovalidate reads as another length."""
    for field in _fields_to_durations(message.DESCRIPTOR):
        if not message.HasField(field.name):
            continue
        value, name = getattr(message, field.name), f"{path}{field.name}"
        if not isinstance(value, Duration):
            yield from _malformed(value, f"{name}.")
        elif not _is_duration(value):
            yield name, "seconds and nanos of a duration have one sign, and nanos are less than a second"


def _is_duration(value: Duration) -> bool:
    has_one_sign = value.seconds * value.nanos >= 0
    return has_one_sign and abs(value.nanos) < 1_000_000_000 and abs(value.seconds) <= _MAX_DURATION_SECONDS


@lru_cache(maxsize=256)
def _fields_to_durations(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Fields that are durations or messages that hold some; no request has a list of either."""
    return tuple(
        field
        for field in descriptor.fields
        if field.message_type is not None
        and not field.is_repeated
        and (field.message_type.full_name == "google.protobuf.Duration" or _fields_to_durations(field.message_type))
    )
