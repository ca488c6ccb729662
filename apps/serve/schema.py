"""Write the OpenAPI document of what is served: each bundle's path and true answer, and every error there can be."""

from __future__ import annotations

from typing import Any, get_args
from urllib.parse import quote

from edgevit import __version__
from edgevit.runtime.tasks.track_life import TrackState
from edgevit.spec import Spec

from .kinds import UNSAID, kinds_here
from .shelf import Served, Shelf

ERRORS = {
    400: "The request is not HTTP as it should be.",
    401: "The token is missing or wrong.",
    403: "A page of another site asks.",
    404: "There is no bundle, path or run of that name; the nearest is told.",
    405: "That is done by another method.",
    408: "The body did not come in time.",
    413: "The body is larger than is taken here.",
    415: "The body's type is none that is taken here.",
    421: "The server is not known by that name.",
    422: "The body is no picture, or a damaged one, or one of too many pixels.",
    429: "The client asks too often.",
    500: "The engine failed, or answered NaN: that is never a result.",
    503: "Too many requests wait, all connections or a tracker's runs are taken, or the server ends. Retry-After tells "
    "when to ask again.",
    504: "The answer took longer than is waited for.",
}
_ALWAYS = (400, 401, 403, 404, 405, 413, 421, 429, 503)
_PICTURE = (*_ALWAYS, 408, 415, 422, 500, 504)
_MOST_NAMES = 200
"""A model of more classes has its names in its bundle; listing them here would make a document that nobody reads."""


def document(shelf: Shelf, *, token: bool, most_body_bytes: int) -> dict[str, Any]:
    """Return the document as JSON data."""
    paths: dict[str, Any] = {
        f"/v1/{quote(name, safe='')}": {"post": _picture_operation(one, most_body_bytes)}
        for name, one in shelf.served.items()
    }
    paths |= {
        "/v1": {"get": _operation("List the bundles", "bundles", "Bundles")},
        "/health": {"get": _health()},
        "/openapi.json": {"get": _text("This document", "document", "application/json", {"type": "object"})},
        "/metrics": {"get": _text("Figures for Prometheus", "metrics", "text/plain", {"type": "string"})},
        "/": {"get": _text("This document as a page", "page", "text/html", {"type": "string"})},
    }
    schemas = {f"Result.{name}": _result(one) for name, one in shelf.served.items()}
    made: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "edgevit serve", "version": __version__, "summary": "A picture in, an answer as JSON out."},
        "paths": paths,
        "components": {
            "schemas": {**schemas, **_SCHEMAS},
            "responses": {str(status): _error(status) for status in ERRORS},
        },
    }
    if token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
    return made


def _picture_operation(one: Served, most_body_bytes: int) -> dict[str, Any]:
    manifest = one.bundle.manifest
    mark = "" if manifest.trained else " UNTRAINED weights: its answers have no meaning."
    said = f"{manifest.model}, {manifest.format} {manifest.precision}, by {one.engine}.{mark} {one.limits}"
    picture = {"schema": {"type": "string", "format": "binary", "minLength": 1, "maxLength": most_body_bytes}}
    return {
        "summary": f"Ask {one.name}",
        "description": said.rstrip(),
        "operationId": f"ask.{one.name}",
        **({"parameters": _PARAMETERS} if manifest.task == "track" else {}),
        "requestBody": {"required": True, "content": dict.fromkeys((*kinds_here(), *UNSAID), picture)},
        "responses": {
            "200": {
                "description": "The answer. Server-Timing tells how long it waited and was decoded.",
                "content": {"application/json": {"schema": _ref(f"schemas/Result.{one.name}")}},
            },
            **_errors(_PICTURE),
        },
    }


def _operation(summary: str, name: str, schema: str) -> dict[str, Any]:
    return _text(summary, name, "application/json", _ref(f"schemas/{schema}"))


def _text(summary: str, name: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    good = {"description": summary, "content": {kind: {"schema": schema}}}
    return {"summary": summary, "operationId": name, "responses": {"200": good, **_errors(_ALWAYS)}}


def _health() -> dict[str, Any]:
    made = _operation("Tell whether the server is ready", "health", "Health")
    either = {"oneOf": [_ref("schemas/Health"), _ref("schemas/Error")]}
    bad = _error(503) | {"description": "Not ready.", "content": {"application/json": {"schema": either}}}
    return {**made, "responses": {**made["responses"], "503": bad}}


def _errors(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): _ref(f"responses/{status}") for status in statuses}


def _error(status: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": ERRORS[status],
        "content": {"application/json": {"schema": _ref("schemas/Error")}},
    }
    header = {405: "Allow", 429: "Retry-After", 503: "Retry-After"}.get(status)
    return {**made, "headers": {header: {"schema": {"type": "string"}}}} if header else made


def _ref(place: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{place}"}


def _result(one: Served) -> dict[str, Any]:
    manifest = one.bundle.manifest
    answer = _tracks() if manifest.task == "track" else _classes(manifest.spec)
    times = {"type": "number", "minimum": 0, "description": "milliseconds"}
    parts: dict[str, Any] = {
        "task": {"const": manifest.task},
        "source": {"const": "http"},
        "index": {
            "type": "integer",
            "minimum": 0,
            "description": "how many pictures the bundle, or the run, saw before",
        },
        "size_hw": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
        **answer,
        "speed": _object(preprocess=times, inference=times, postprocess=times),
    }
    return _object(**parts) if manifest.trained else _object(**parts, untrained={"const": True})


def _tracks() -> dict[str, Any]:
    track = _object(
        id={"type": "integer", "minimum": 1},
        box_xyxy={"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        score={"type": "number", "minimum": 0, "maximum": 1},
        state={"enum": list(get_args(TrackState))},
    )
    return {
        "run": {"type": "string", "description": "what the next picture is sent with"},
        "tracks": {"type": "array", "items": track, "minItems": 1, "maxItems": 1},
    }


def _classes(spec: Spec) -> dict[str, Any]:
    labels = spec.labels
    name: dict[str, Any] = {"type": "string"}
    if 0 < len(labels) <= _MOST_NAMES:
        name["enum"] = list(dict.fromkeys(labels))
    best = _object(
        index={"type": "integer", "minimum": 0, **({"maximum": len(labels) - 1} if labels else {})},
        name=name,
        score={"type": "number", "minimum": 0, "maximum": 1},
    )
    return {"top": {"type": "array", "items": best, "minItems": 1, "maxItems": spec.topk}}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": words, "schema": {"type": "string"}}
    for name, words in (
        ("box", "x,y,width,height of the target in this first picture: begins a run"),
        ("point", "x,y of a point on the target in this first picture; its box is guessed: begins a run"),
        ("run", "the run that this next picture belongs to"),
    )
]
"""A request has exactly one of them."""

_SCHEMAS: dict[str, Any] = {
    "Error": _object(
        error={"type": "string"},
        message={"type": "string", "minLength": 1},
        status={"type": "integer", "minimum": 400, "maximum": 599},
    ),
    "Health": _object(
        live={"const": True},
        ready={"type": "boolean"},
        served={"type": "integer", "minimum": 0},
        refused={"type": "integer", "minimum": 0},
        hanging={"type": "array", "items": {"type": "string"}},
    ),
    "Bundles": _object(
        bundles={
            "type": "array",
            "items": _object(
                name={"type": "string"},
                path={"type": "string"},
                model={"type": "string"},
                task={"type": "string"},
                format={"type": "string"},
                precision={"type": "string"},
                engine={"type": "string"},
                proof={"type": "object", "additionalProperties": {"type": "string"}},
                passed={"type": "boolean"},
                trained={"type": "boolean"},
                labels={"type": "integer", "minimum": 0},
            ),
        },
        refused={"type": "array", "items": _object(name={"type": "string"}, why={"type": "string"})},
    ),
}
