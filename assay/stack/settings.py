"""Settings of every program, as they stand in its code: the name, what it takes, the default, and what it does.

The library knows no program, it only starts them by the name of their module; in the same way their settings are
found, in `MODULE.settings`.
"""

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import PurePath

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from assay.errors import InvalidRequest
from assay.rpc.settings import NESTED, allowed_values, leaves
from assay.stack import checkout, checkout_module

MODULES = {
    "gateway": "gateway",
    "attribute_extraction": "services.attribute_extraction",
    "scoring": "services.scoring",
    "fetch": "services.fetch",
    "triton_server": "triton_server",
    "ingest": "ingest",
    "client": "assay.cli",
}
"""Program to its module. The client is `assay` itself."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable; with `_FILE` behind its name it takes the path of a file that holds the value."""

    program: str
    variable: str
    allowed: str
    """What it takes, in words."""
    default: str | None
    """As it would be written into the environment; None if nothing stands for it."""
    sentence: str
    """What it does."""


def settings_of(program: str) -> list[Setting]:
    """In the order of the code. InvalidRequest for a program that there is not, NoCheckout without the programs."""
    cls = settings_class(program)
    prefix = str(cls.model_config.get("env_prefix", "")).upper()
    sentences = _sentences(cls)
    root = checkout()
    return [
        Setting(
            program,
            f"{prefix}{name.upper()}",
            allowed_values(field),
            _default(field, str(root)),
            sentences.get(name, ""),
        )
        for name, field in leaves(cls).items()
    ]


def settings_class(program: str) -> type[BaseSettings]:
    """The class that a program reads its environment with."""
    if program not in MODULES:
        raise InvalidRequest(f"there is no program {program!r}; there are {', '.join(MODULES)}", field="program")
    module = checkout_module(f"{MODULES[program]}.settings")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSettings) and value.model_config.get("env_prefix")
    )


def _default(field: FieldInfo, root: str) -> str | None:
    value = field.get_default()
    if field.is_required() or value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, PurePath):
        return str(value).removeprefix(root).lstrip("/")
    return ",".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}" if value == 0 else str(value)


def _sentences(cls: type[BaseModel]) -> dict[str, str]:
    """Field to the text below it, its own class's before an inherited one."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each.__module__.split(".")[0] not in ("builtins", "pydantic", "pydantic_settings"):
            found.update(_texts_below(each))
    for name, field in cls.model_fields.items():
        if is_dataclass(field.annotation):
            for each in reversed(field.annotation.__mro__[:-1]):
                found.update({f"{name}{NESTED}{own}": text for own, text in _texts_below(each).items()})
    return found


def _texts_below(cls: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):
        return {}
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    return dict(_pairs(body.body))


def _pairs(statements: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in itertools.pairwise(statements):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                yield field.target.id, " ".join(text.split())
