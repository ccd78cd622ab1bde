"""Query parameters as a ScoreConfig."""

from google.protobuf import json_format
from starlette.datastructures import QueryParams

from assay.errors import InvalidRequest
from assay.rpc.validation import check
from assay.v1 import assay_pb2, score_pb2
from assay.wire import FORM_TO_WIRE

KNOWN = ("form", "attributes", "tenant", "config")


def config_of(query: QueryParams, *others: str) -> assay_pb2.ScoreConfig:
    """How to score. `config` is a whole ScoreConfig as ProtoJSON; `form`, `attributes` (comma-separated) and `tenant`
    go before what it says. InvalidRequest names the parameter that is unknown or wrong; `others` are known as well."""
    for name in query:
        if name not in (*KNOWN, *others):
            raise InvalidRequest(f"{name!r} is no parameter; known are {', '.join((*KNOWN, *others))}", field=name)
    config = assay_pb2.ScoreConfig()
    if written := query.get("config"):
        config = parsed(written, config, "config")
    if form := query.get("form"):
        config.form = _form(form)
    if "attributes" in query:
        del config.attributes[:]
        config.attributes.extend(name for name in query["attributes"].split(",") if name)
    if tenant := query.get("tenant"):
        config.tenant = tenant
    check(config)
    return config


def parsed(written: str, message: assay_pb2.ScoreConfig, field: str) -> assay_pb2.ScoreConfig:
    """The message that stands in a text of JSON. InvalidRequest."""
    try:
        json_format.Parse(written, message)
    except (json_format.ParseError, UnicodeError, RecursionError) as wrong:
        raise InvalidRequest(f"{field} is no ScoreConfig in JSON: {str(wrong)[:200]}", field=field) from None
    return message


def _form(name: str) -> "score_pb2.AnswerForm.ValueType":
    for known, value in FORM_TO_WIRE.items():
        if name == known:
            return value
    raise InvalidRequest(f"form {name!r} is not known; use one of {', '.join(FORM_TO_WIRE)}", field="form")
