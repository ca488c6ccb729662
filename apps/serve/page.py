"""Show the OpenAPI document as a plain page: no script but our own, nothing from another server."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

_STATIC = Path(__file__).parent / "static"


def static(name: str) -> str:
    """Return one of the page's files."""
    return (_STATIC / name).read_text(encoding="utf-8")


def page(document: dict[str, Any]) -> str:
    """Return the page."""
    paths, parts = document["paths"], document["components"]
    links = {path: told["get"]["summary"] for path, told in paths.items() if "get" in told}
    errors = {status: told["description"] for status, told in parts["responses"].items()}
    return static("page.html").format(
        version=escape(document["info"]["version"]),
        token=_TOKEN if "security" in document else "",
        bundles="".join(_bundle(path, told["post"], document) for path, told in paths.items() if "post" in told),
        others="".join(_row(f'<a href="{escape(path)}">GET {escape(path)}</a>', said) for path, said in links.items()),
        errors="".join(_row(status, said) for status, said in errors.items()),
        error=_json(parts["schemas"]["Error"]),
    )


_TOKEN = "<p>Every request shows the token: <code>Authorization: Bearer TOKEN</code>.</p>"


_TRIAL = (
    '<p><label>Try it with a picture: <input type="file" accept="image/*" data-path="{}"></label></p><pre hidden></pre>'
)


def _bundle(path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    name = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    header = " -H 'Authorization: Bearer TOKEN'" if "security" in document else ""
    typed, trial = f"curl --data-binary @picture.jpg{header} ", _TRIAL.format(escape(path))
    asks = f"{typed}URL{path}"
    if "parameters" in operation:  # a tracker, which wants several pictures
        asks, trial = f"{typed}'URL{path}?box=x,y,width,height'\n{typed}'URL{path}?run=RUN'     the next pictures", ""
    return (
        f"<section><h2>POST {escape(path)}</h2><p>{escape(operation['description'])}</p>"
        f"<pre>{escape(asks)}</pre>{trial}"
        f"<details><summary>What it answers</summary><pre>{_json(schema)}</pre></details></section>"
    )


def _row(left: str, right: str) -> str:
    return f"<tr><td>{left}</td><td>{escape(right)}</td></tr>"


def _json(data: Any) -> str:
    return escape(json.dumps(data, indent=1, ensure_ascii=False))
