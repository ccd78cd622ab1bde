"""The rules in the protos, applied to every message that comes in."""

from typing import Any

import protovalidate
from google.protobuf.message import Message

from assay.errors import InvalidRequest

Violations = tuple[tuple[str, str], ...]
"""Path of the field, such as "config.clip.pts_seconds[1]", and what is wrong with it."""


class InvalidMessage(InvalidRequest):
    """A message breaks rules of its proto; all of them are told at once."""

    def __init__(self, violations: Violations) -> None:
        field, words = violations[0]
        more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{field}: {words}{more}", field=field)
        self.violations = violations


def check(message: Message) -> None:
    """InvalidMessage if the message breaks a rule of its proto."""
    violations = protovalidate.collect_violations(message)
    if violations:
        raise InvalidMessage(tuple((_path(each.proto), str(each.proto.message)) for each in violations))


def _path(violation: Any) -> str:
    parts = []
    for element in violation.field.elements if violation.field else ():
        key = f"[{element.subscript.value}]" if element.subscript else ""
        parts.append(f"{element.field_name}{key}")
    return ".".join(parts)
