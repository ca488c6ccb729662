"""Ask a web server over a real socket, as curl does, and check answers against its OpenAPI document."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Reply:
    """Hold one answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Keep one connection to a server, opened anew where it was closed; ``own`` is the address that it comes from."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, *, own: str | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        source = None if own is None else (own, 0)
        self._line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S, source_address=source)
        self._headers = dict(headers or {})

    def ask(
        self,
        path: str,
        *,
        method: str | None = None,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        chunked: bool = False,
    ) -> Reply:
        verb = method or ("GET" if body is None else "POST")
        shown = {**self._headers, **(headers or {})}
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all was sent
                self._line.request(verb, path, body=body, headers=shown, encode_chunked=chunked)
            answer = self._line.getresponse()
            reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except OSError:
            self._line.close()
            raise
        if reply.headers.get("connection") == "close":
            self._line.close()
        return reply

    def close(self) -> None:
        self._line.close()


def until(true: Callable[[], object]) -> None:
    """Wait for what the server does after its answer: its log, its counters."""
    for _ in range(6000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to that")


def misfits(document: dict[str, Any], path: str, method: str, reply: Reply) -> list[str]:
    """Say where an answer is not as the document promises: an undeclared status or type, or another shape."""
    told = _resolved(document, document["paths"][path][method.lower()]["responses"].get(str(reply.status)))
    if told is None:
        return [f"{method} {path} answered {reply.status}, which is not declared"]
    kind = reply.headers.get("content-type", "").partition(";")[0]
    if kind not in told["content"]:
        return [f"{method} {path} answered {kind}, declared are {list(told['content'])}"]
    data = reply.json() if kind == "application/json" else reply.body.decode()
    return [
        f"{method} {path} {reply.status}: {wrong}" for wrong in _wrongs(document, told["content"][kind]["schema"], data)
    ]


def _resolved(document: dict[str, Any], data: Any) -> Any:
    while isinstance(data, dict) and "$ref" in data:
        place = data["$ref"].removeprefix("#/").split("/")
        data = document
        for step in place:
            data = data[step]
    return data


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_KNOWN = {"type", "const", "enum", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
          "minLength", "maxLength", "minimum", "maximum", "description", "format", "oneOf"}  # fmt: skip


def _wrongs(document: dict[str, Any], schema: Any, data: Any, at: str = "$") -> Iterator[str]:
    schema = _resolved(document, schema)
    assert set(schema) <= _KNOWN, f"the check does not know {set(schema) - _KNOWN}"
    if "oneOf" in schema:
        fitting = [one for one in schema["oneOf"] if not [*_wrongs(document, one, data, at)]]
        if len(fitting) != 1:
            yield f"{at} fits {len(fitting)} of {len(schema['oneOf'])} forms: {data!r}"
        return
    kind = schema.get("type")
    if kind and (not isinstance(data, _TYPES[kind]) or (isinstance(data, bool) and kind != "boolean")):
        yield f"{at} is no {kind}: {data!r}"
        return
    if "const" in schema and data != schema["const"]:
        yield f"{at} is {data!r}, not {schema['const']!r}"
    if "enum" in schema and data not in schema["enum"]:
        yield f"{at} is {data!r}, none of {schema['enum']!r}"
    size = data if isinstance(data, (int, float)) else len(data)
    for least, most in (("minimum", "maximum"), ("minItems", "maxItems"), ("minLength", "maxLength")):
        if not schema.get(least, size) <= size <= schema.get(most, size):
            yield f"{at} is out of bounds: {data!r}"
    if isinstance(data, dict):
        parts = schema.get("properties", {})
        yield from (f"{at} lacks {name}" for name in schema.get("required", ()) if name not in data)
        others = schema.get("additionalProperties", {})
        for name, value in data.items():
            if name not in parts and others is False:
                yield f"{at} has {name} too"
            else:
                yield from _wrongs(document, parts.get(name, others), value, f"{at}.{name}")
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from _wrongs(document, schema.get("items", {}), value, f"{at}[{number}]")


def figure(text: bytes, name: str, **labels: str) -> float:
    """Return one value of a Prometheus text; the labels given are those that must be there."""
    for line in text.decode().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match and match[1] == name:
            told = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            if labels.items() <= told.items():
                return float(match[3])
    raise AssertionError(f"there is no {name} with {labels} in:\n{text.decode()}")
