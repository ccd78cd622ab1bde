"""Environment -> settings.

A misspelt variable stops the program and names itself; a value out of range names what is allowed.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from assay.errors import SettingsError
from assay.rpc.access import TlsSettings, split_at_commas
from assay.rpc.environment import variables

Address = Annotated[str, Field(pattern=r"^(unix:.+|[^\s]+:\d{1,5})$", description="HOST:PORT or unix:PATH")]
"""Where a program listens or is reached. Port 0 lets the system choose one."""

OptionalServer = Annotated[
    str, Field(pattern=r"^(unix:.+|[^\s]+:\d{1,5})?$", description="HOST:PORT or unix:PATH, or empty for none")
]

OptionalAddress = Annotated[str, Field(pattern=r"^([^\s]+:\d{1,5})?$", description="HOST:PORT, or empty for none")]
_HOST = Annotated[str, Field(pattern=r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?(:\d{1,5})?$")]

Hosts = Annotated[
    tuple[_HOST, ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="HOST, HOST:PORT or *.DOMAIN, several with commas"),
]
_ORIGIN = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\[\]:_-]+$")]
Origins = Annotated[
    tuple[_ORIGIN, ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="origins such as https://ops.example, several with commas"),
]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network, ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="networks such as 10.1.0.0/16, several with commas"),
]
Tenants = Annotated[
    tuple[str, ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="names of tenants, several with commas"),
]
WebSchemes = Annotated[
    tuple[Literal["https", "http"], ...],
    BeforeValidator(split_at_commas),
    NoDecode,
    Field(description="https, or https,http"),
]


class _ServingSettings(BaseSettings):
    """Where a program serves and how it ends."""

    # Defaults are checked like values: a range that excludes its own default is found at the first start.
    model_config = SettingsConfigDict(validate_default=True)

    address: Address = "127.0.0.1:0"
    """Where calls are served."""
    metrics_address: OptionalAddress = ""
    """Where Prometheus finds the metrics, over HTTP; empty: nowhere."""
    health_address: OptionalAddress = ""
    """Where health alone is served, in plain text, for probes; empty: only on the calls' own port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    lame_duck_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """After SIGTERM, how long calls are still taken while health says NOT_SERVING: until balancers have noticed."""
    grace_seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    """How long calls in flight may go on after that."""


class ServerSettings(TlsSettings, _ServingSettings):
    """What can be set for every program that serves gRPC. A program inherits and sets its own env_prefix."""


class ModelServiceSettings(ServerSettings):
    """What can be set for every program that asks the model."""

    triton: Address = "127.0.0.1:8001"
    """gRPC side of the Triton server that has the model."""
    triton_tls: bool = False
    """Triton speaks TLS (TRITON_SERVER_TLS_CERTIFICATE): it must have a certificate of the authorities, and is shown
    this program's."""
    checkpoint: Annotated[Path, Field(description="a directory that holds an assay.toml")] = Path("checkpoints/nano")
    """Prompts, forms, scale and budgets; must be of the checkpoint that Triton serves."""
    fingerprint: Annotated[
        str,
        Field(
            pattern=r"^([0-9a-f]{16}(-bfloat16|-int8)?)?$",
            description="16 hex digits, or with -bfloat16 or -int8; empty for any",
        ),
    ] = ""
    """The checkpoint that Triton must serve, as `assay checkpoint show` names it; until it does, not ready."""
    idle_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Longest wait for the next message of a client, and for the next token of the model."""


S = TypeVar("S", bound=BaseSettings)
NESTED = "__"
"""Between the field that is a dataclass and the field of that, in the name of a variable."""


def load(cls: type[S]) -> S:
    """The settings from variables that begin with the class's env_prefix.

    SettingsError names the first variable that is no setting (and the closest one that is) or whose value is refused.
    """
    prefix = str(cls.model_config.get("env_prefix", "")).upper()
    if not prefix:
        raise ValueError(f"{cls.__name__} needs an env_prefix, or it would read every variable there is")
    known = leaves(cls)
    texts = variables(prefix, known)
    try:
        # What is handed over goes before what the class itself finds in the environment.
        return cls(**_nested(texts))
    except ValidationError as wrong:
        loc = [str(part) for part in wrong.errors()[0]["loc"]]
        name = next(leaf for length in (2, 1) if (leaf := NESTED.join(loc[:length])) in known)
        variable = f"{prefix}{name.upper()}"
        # What a file holds may be a secret.
        is_set = any(key.upper() == variable for key in os.environ)
        said = f"{variable} is {texts.get(name, '')!r}" if is_set else f"what {variable}_FILE holds is refused"
        raise SettingsError(f"{said}; allowed is {allowed_values(known[name])}", field=variable) from wrong


def leaves(cls: type[BaseSettings]) -> dict[str, FieldInfo]:
    """Field to what it takes, those of a dataclass as `field__its_own`: a variable's name without prefix, in lower
    case."""
    found: dict[str, FieldInfo] = {}
    for name, field in cls.model_fields.items():
        if is_dataclass(field.annotation):
            hints = get_type_hints(field.annotation, include_extras=True)
            for own in fields(field.annotation):
                default = getattr(field.default, own.name)
                found[f"{name}{NESTED}{own.name}"] = FieldInfo.from_annotated_attribute(
                    _given(hints[own.name]), default
                )
        else:
            found[name] = field
    return found


def _nested(texts: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for leaf, text in texts.items():
        name, nested, own = leaf.partition(NESTED)
        if nested:
            values.setdefault(name, {})[own] = text
        else:
            values[name] = text
    return values


def _given(hint: Any) -> Any:
    """Without the None of an option that may be left out, as no text stands for it."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(hint) else hint


def allowed_values(field: FieldInfo) -> str:
    """What a field takes, in words: "a whole number from 1 to 256"."""
    kind = field.annotation
    if field.description:
        return field.description
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(each.value) for each in kind)
    kinds: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    words = [kinds.get(kind, "a value that can be read"), *_bounds(field)]
    return " ".join(words)


def _bounds(field: FieldInfo) -> Iterator[str]:
    for rule in field.metadata:
        for name, words in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below")):
            if (bound := getattr(rule, name, None)) is not None:
                yield f"{words} {bound}"
