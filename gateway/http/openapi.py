"""OpenAPI: what REST offers, for those who generate clients or test by it."""

from collections.abc import Mapping
from typing import Any

from gateway.http.problem import STATUS
from gateway.http.rest import KNOWN

_FORMS = ["direct", "regular", "natural"]
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RESULT = {
    "application/json": {"schema": {"$ref": "#/components/schemas/Result"}},
    "text/event-stream": {"schema": {"type": "string", "description": "assay.v1.ScoreEvent as JSON, one per event"}},
}
_DESCRIPTIONS: Mapping[str, str] = {
    "form": "in which form to answer; regular if not given",
    "attributes": "names of attributes to report, with commas; all if not given",
    "tenant": "whose composite weights to use besides",
    "config": "a whole assay.v1.ScoreConfig as ProtoJSON; the other parameters go before it",
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Assay", "version": "v1", "description": "Scores how good images and videos look."},
        "paths": {
            "/v1/images:score": {"post": _file("Score a picture", "image/*")},
            "/v1/videos:score": {"post": _file("Score a video while it is uploaded", "video/*")},
            "/v1/uris:score": {"post": _uri()},
            "/v1/models": {"get": _models()},
            "/v1/uploads/{upload_id}": {"put": _slice(), "get": _upload()},
        },
        "components": {"schemas": _schemas()},
    }


def _file(summary: str, kind: str) -> dict[str, Any]:
    octets = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    return {
        "summary": summary,
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": {"application/octet-stream": octets, kind: octets}},
        "responses": _responses("The result, or events as they happen", _RESULT),
    }


def _uri() -> dict[str, Any]:
    return {
        "summary": "Score a file that the server fetches",
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}},
        "responses": _responses("The result, or events as they happen", _RESULT),
    }


def _models() -> dict[str, Any]:
    listed = {"type": "object", "required": ["models"], "properties": {"models": {"type": "array"}}}
    return {
        "summary": "The model that scores",
        "responses": _responses("It", {"application/json": {"schema": listed}}),
    }


def _slice() -> dict[str, Any]:
    octets = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
    offset = {"name": "offset", "in": "query", "required": True, "schema": {"type": "integer", "minimum": 0}}
    digest = {"name": "repr-digest", "in": "header", "schema": {"type": "string"}, "description": "sha-256=:BASE64:"}
    return {
        "summary": "Append a slice to an upload that assay.v1.UploadService/CreateUpload began",
        "parameters": [_upload_id(), offset, digest],
        "requestBody": {"required": True, "content": {"application/octet-stream": octets}},
        "responses": _responses("How far the upload is", _upload_content()),
    }


def _upload() -> dict[str, Any]:
    return {
        "summary": "Ask how far an upload is",
        "parameters": [_upload_id()],
        "responses": _responses("How far it is", _upload_content()),
    }


def _upload_id() -> dict[str, Any]:
    return {"name": "upload_id", "in": "path", "required": True, "schema": {"type": "string"}}


def _upload_content() -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Upload"}}}


def _parameters() -> list[dict[str, Any]]:
    schemas = {name: {"type": "string"} for name in KNOWN} | {"form": {"type": "string", "enum": _FORMS}}
    return [
        {"name": name, "in": "query", "schema": schemas[name], "description": _DESCRIPTIONS[name]} for name in KNOWN
    ]


def _responses(description: str, content: dict[str, Any]) -> dict[str, Any]:
    failures = {str(status): {"description": "Problem", "content": _PROBLEM} for status in sorted(set(STATUS.values()))}
    return {"200": {"description": description, "content": content}, **failures}


def _schemas() -> dict[str, Any]:
    score = {"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}
    return {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string", "description": "google.rpc.ErrorInfo.reason of the same error over gRPC"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "field": {"type": "string"},
            },
        },
        "Result": {"type": "object", "required": ["score"], "properties": {"score": score}},
        "Upload": {
            "type": "object",
            "required": ["upload_id"],
            "properties": {"upload_id": {"type": "string"}, "received_bytes": {"type": "string"}},
        },
    }
