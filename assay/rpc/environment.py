"""Environment: the variables of one program, read once, those that Kubernetes injects left out.

Besides `NAME` each setting is taken from `NAME_FILE`, a file that holds the value, as secrets are mounted.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from assay.errors import SettingsError

_FILE = "_FILE"
_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+|\d{1,5}")
_ALIKE = 0.85
"""GATWAY_ and GATEAWY_ for GATEWAY_, and no word besides it."""
_ANYTHING = re.compile(r"")
# For a Service `scoring`, or `scoring-blue`, in the same namespace; kubernetes.io/docs/concepts/services-networking.
_INJECTED = (
    (re.compile(r"(\w+_)?SERVICE_HOST"), _ANYTHING),
    (re.compile(r"(\w+_)?SERVICE_PORT(_\w+)?"), _ADDRESS),
    (re.compile(r"(\w+_)?PORT"), _ADDRESS),
    (re.compile(r"(\w+_)?PORT_\d+_(TCP|UDP|SCTP)(_PORT)?"), _ADDRESS),
    (re.compile(r"(\w+_)?PORT_\d+_(TCP|UDP|SCTP)_(PROTO|ADDR)"), _ANYTHING),
)


def is_injected(rest: str, value: str) -> bool:
    """Whether Kubernetes sets such a variable for a Service; `rest` is its name in upper case behind the prefix."""
    return any(name.fullmatch(rest) and (said is _ANYTHING or said.fullmatch(value)) for name, said in _INJECTED)


def inherited(prefixes: Iterable[str]) -> dict[str, str]:
    """Variables of this process that begin so, for a program that it starts."""
    return {name: value for name, value in os.environ.items() if name.startswith(tuple(prefixes))}


def silence_grpc() -> None:
    """Unless GRPC_VERBOSITY says otherwise; to be called before grpc is imported, which reads it then.

    Its lines are no JSON, and what they tell comes as a status as well.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def show_gpus(numbers: Sequence[str]) -> None:
    """This process, and what it starts, use these GPUs; to be called before a library enumerates them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = visible.split(",")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[int(number)] if visible else number for number in numbers)


@contextmanager
def set_for_children(values: Mapping[str, str]) -> Iterator[None]:
    """For processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def variables(prefix: str, fields: Iterable[str]) -> Mapping[str, str]:
    """Field to the text that is set for it. SettingsError names a variable that is no setting, or is set twice."""
    known = {f"{prefix}{field.upper()}": field for field in fields}
    found: dict[str, str] = {}
    for variable, value in sorted(os.environ.items()):
        name = variable.upper()
        if not name.startswith(prefix):
            if meant := _meant_by(name, prefix, known):
                raise SettingsError(f"{variable} is no setting; is {meant} meant?", field=variable)
            continue
        if name in known:
            text = value
        elif name.endswith(_FILE) and name.removesuffix(_FILE) in known:
            name, text = name.removesuffix(_FILE), _content(variable, value)
        elif is_injected(name.removeprefix(prefix), value):
            continue
        else:
            closest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise SettingsError(f"{variable} is no setting; the closest is {closest[0]}", field=variable)
        if known[name] in found:
            raise SettingsError(f"{name} is set twice, by itself and by {name}{_FILE}; set one of them", field=name)
        found[known[name]] = text
    return found


def _meant_by(name: str, prefix: str, known: Iterable[str]) -> str:
    """The setting whose prefix is misspelt in this name; empty for a variable of somebody else's."""
    for setting in known:
        rest = setting.removeprefix(prefix)
        head = name.removesuffix(_FILE).removesuffix(rest)
        if head.endswith("_") and difflib.SequenceMatcher(None, head, prefix).ratio() >= _ALIKE:
            return setting
    return ""


def is_any_set(prefix: str) -> bool:
    """Whether there is a variable of that prefix."""
    return any(name.upper().startswith(prefix) for name in os.environ)


def _content(variable: str, path: str) -> str:
    """What the file holds, without the end of its line."""
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as unreadable:
        reason = unreadable.strerror if isinstance(unreadable, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"{variable} names {path!r}, which cannot be read: {reason}", field=variable) from None
