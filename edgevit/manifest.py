"""Hold a bundle's manifest as data: read it strictly, write it plainly. The format is documented in bundle.py."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import SchemaError, SpecError, UnsafePathError
from .provenance import Provenance
from .spec import Spec, TensorSpec

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
PROOFS = ("executed", "interpreted", "graph-only")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOO_LONG = 255


@dataclass(frozen=True)
class GraphFile:
    """Name the file of one graph, its tensors, and how far it was proven."""

    file: str
    entry: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    proof: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data (``proof`` stands in the manifest's own table)."""
        return {
            "file": self.file,
            "entry": self.entry,
            **{k: _tensors(getattr(self, k)) for k in ("inputs", "outputs")},
        }


@dataclass(frozen=True)
class FileRecord:
    """Pin one file by its content."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """Describe a whole bundle. Every field is explained at the top of bundle.py."""

    model: str
    spec: Spec
    format: str
    precision: str
    engine: Mapping[str, str]
    graphs: Mapping[str, GraphFile]
    provenance: Provenance
    verification: Mapping[str, Any]
    golden: Mapping[str, Any]
    reference: Mapping[str, Any]
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    device: str | None = None
    state: tuple[Mapping[str, str], ...] = ()
    operations: Mapping[str, str] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """Say what the model does."""
        return self.spec.task

    @property
    def trained(self) -> bool:
        """Tell whether the weights were ever trained."""
        return self.provenance.weights.trained

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as JSON data, in reading order."""
        spec = self.spec.to_dict()
        data: dict[str, Any] = {"schema": SCHEMA, "model": self.model, "task": self.task}
        data |= {"format": self.format, "precision": self.precision}
        data |= {"device": self.device} if self.device else {}
        data |= {"engine": dict(self.engine), "graphs": {n: g.to_dict() for n, g in self.graphs.items()}}
        data |= {"state": [dict(s) for s in self.state], "operations": dict(self.operations)}
        data |= {"labels": spec.pop("labels"), "label_ids": spec.pop("label_ids"), "spec": spec}
        data |= {"proof": {n: g.proof for n, g in self.graphs.items()}}
        data |= {"verification": dict(self.verification), "golden": dict(self.golden)}
        data |= {"reference": dict(self.reference), "provenance": self.provenance.to_dict()}
        data |= {"files": {n: {"sha256": f.sha256, "bytes": f.size_bytes} for n, f in sorted(self.files.items())}}
        return data

    def to_json(self) -> str:
        """Return the text of manifest.json."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parse(text: str, *, where: str) -> Manifest:
    """Read manifest.json. Each way in which it can be wrong has its own sentence."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise SchemaError(f"{where}: the manifest is not JSON ({exc}). Export the model again.") from exc
    if not isinstance(data, dict):
        raise SchemaError(f"{where}: the manifest must be a JSON object, not {type(data).__name__}.")
    schema = data.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise SchemaError(
            f"{where}: the manifest has schema {schema!r}; this edgevit reads schema {SCHEMA}. "
            "Install the edgevit that made the bundle, or export the model again."
        )
    try:
        return _build(data)
    except (SpecError, UnsafePathError) as exc:
        raise type(exc)(f"{where}: {exc}") from exc
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise SchemaError(
            f"{where}: the manifest misses or misspells what schema {SCHEMA} promises ({exc!r})."
        ) from exc


def _build(data: dict[str, Any]) -> Manifest:
    files = {name: _file_record(name, record) for name, record in data["files"].items()}
    check_names(files)
    proof = data["proof"]
    graphs = {name: _graph(graph, proof[name]) for name, graph in data["graphs"].items()}
    if not graphs:
        raise ValueError("no graphs")
    for name in [g.file for g in graphs.values()] + [data[key]["file"] for key in ("golden", "reference")]:
        if name not in files:
            raise ValueError(f"'{name}' is not in the list of files")
    spec = Spec.from_dict({**data["spec"], "labels": data["labels"], "label_ids": data["label_ids"]})
    return Manifest(
        model=_text(data["model"]),
        spec=spec,
        format=_text(data["format"]),
        precision=_text(data["precision"]),
        engine={_text(k): _text(v) for k, v in data["engine"].items()},
        graphs=graphs,
        provenance=Provenance.from_dict(data["provenance"]),
        verification=dict(data["verification"]),
        golden=dict(data["golden"]),
        reference=dict(data["reference"]),
        files=files,
        device=data.get("device"),
        state=tuple({"from": _text(s["from"]), "to": _text(s["to"])} for s in data["state"]),
        operations={_text(k): _text(v) for k, v in data["operations"].items()},
    )


def _graph(data: Mapping[str, Any], proof: str) -> GraphFile:
    if proof not in PROOFS:
        raise ValueError(f"proof {proof!r} is none of {', '.join(PROOFS)}")
    tensors = {key: tuple(_tensor(t) for t in data[key]) for key in ("inputs", "outputs")}
    if not tensors["inputs"] or not tensors["outputs"]:
        raise ValueError("a graph without inputs or outputs")
    return GraphFile(_text(data["file"]), _text(data["entry"]), tensors["inputs"], tensors["outputs"], proof)


def _tensor(data: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(_text(data["name"]), tuple(int(n) for n in data["shape"]), _text(data["dtype"]))


def _tensors(tensors: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in tensors]


def _file_record(name: str, data: Mapping[str, Any]) -> FileRecord:
    if not _SHA256.fullmatch(data["sha256"]) or int(data["bytes"]) < 0:
        raise ValueError(f"the record of '{name}' is not a sha256 and a size")
    return FileRecord(data["sha256"], int(data["bytes"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be text")
    return value


def check_names(names: Iterable[str]) -> None:
    """Refuse file names that lead out of the bundle, hide another file, or mean something else elsewhere."""
    seen: dict[str, str] = {}
    for name in names:
        parts = name.split("/")
        if any(p in ("", ".", "..") for p in parts) or "\\" in name or ":" in name:
            raise UnsafePathError(f"the file name '{name}' leads out of the bundle; expected a plain relative path.")
        if len(name) > _TOO_LONG or any(unicodedata.category(c).startswith("C") for c in name):
            raise UnsafePathError(f"the file name {name[:80]!r} is too long or holds control characters.")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise UnsafePathError(f"the file names '{seen[folded]}' and '{name}' are one file on some systems.")
        if folded == MANIFEST_NAME:
            raise UnsafePathError("the manifest lists itself as a file.")
        seen[folded] = name
