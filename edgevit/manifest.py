"""Hold a bundle's manifest as data: read it strictly, write it plainly. The format is documented in bundle.py."""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import SchemaError, SpecError, UnsafePathError
from .formats import PRECISIONS
from .names import MANIFEST_NAME as MANIFEST_NAME
from .names import check_names as check_names
from .provenance import Provenance
from .reading import Table, read_json
from .spec import Spec, TensorSpec

SCHEMA = 1
PROOFS = ("executed", "interpreted", "graph-only")

DTYPES = ("float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64",
          "uint64", "bool")  # fmt: skip
MOST_ROWS = 1024
"""The largest batch."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,5}")
_MOST_DIMENSIONS = 8
_MOST_OF_A_DIMENSION = 1 << 20
_MOST_ELEMENTS = 1 << 29
"""2 GiB of float32: more than any device has for one tensor, and less than what ends a workstation."""
_MOST_FILE_BYTES = 1 << 40
_MOST_RELATIVE = 100.0


@dataclass(frozen=True)
class StandIn:
    """Say what proved a file where its own engine could not run, and how far that went.

    ``file`` is set where it ran another one than the graph's, made of the same graph.
    """

    engine: str
    proof: str
    file: str | None = None

    def to_dict(self) -> dict[str, str]:
        """Return plain JSON data."""
        return {"engine": self.engine, "proof": self.proof} | ({"file": self.file} if self.file else {})


@dataclass(frozen=True)
class GraphFile:
    """Name the file of one graph, its tensors, and how far it was proven.

    ``proof`` is of the engine that the bundle is for; ``stand_in`` of another that ran the same file, if one did.
    ``file`` may be a folder, as Core ML's packages are.
    """

    file: str
    entry: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    proof: str
    stand_in: StandIn | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data (``proof`` stands in the manifest's own table)."""
        return {
            "file": self.file,
            "entry": self.entry,
            **{k: _tensors(getattr(self, k)) for k in ("inputs", "outputs")},
        }

    def proven(self) -> str:
        """Say in words how far the file was proven."""
        if self.stand_in is None:
            return self.proof
        return f"{self.proof}; {self.stand_in.proof} by {self.stand_in.engine}"


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
    placement: Mapping[str, Any] = field(default_factory=dict)

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
        stand_ins = {n: g.stand_in.to_dict() for n, g in self.graphs.items() if g.stand_in}
        data |= {"stand_in": stand_ins} if stand_ins else {}
        data |= {"placement": dict(self.placement)} if self.placement else {}
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
        data = read_json(text)
    except SchemaError as exc:
        raise SchemaError(f"{where}: the manifest is {exc}. Export the model again.") from exc
    if not isinstance(data, dict):
        raise SchemaError(f"{where}: the manifest must be a JSON object, not {type(data).__name__}.")
    schema = data.get("schema")
    if schema != SCHEMA or not isinstance(schema, int) or isinstance(schema, bool):
        raise SchemaError(
            f"{where}: the manifest has schema {reprlib.repr(schema)}; this edgevit reads schema {SCHEMA}. "
            "Install the edgevit that made the bundle, or export the model again."
        )
    try:
        return _build(Table(data))
    except SchemaError as exc:
        raise SchemaError(f"{where}: the manifest breaks what schema {SCHEMA} promises: {exc}") from exc
    except (SpecError, UnsafePathError) as exc:
        raise type(exc)(f"{where}: {exc}") from exc


def _build(data: Table) -> Manifest:
    files = {name: _file_record(record) for name, record in data.entries("files")}
    check_names(files)
    proof = data.table("proof")
    stand_ins = dict(data.entries("stand_in")) if "stand_in" in data else {}
    graphs = {name: _graph(name, graph, proof, stand_ins.get(name)) for name, graph in data.entries("graphs")}
    if not graphs:
        raise SchemaError("'graphs' is empty; a bundle has at least one.")
    golden, reference = (_evidence(data.table(key)) for key in ("golden", "reference"))
    run = [g.stand_in.file for g in graphs.values() if g.stand_in and g.stand_in.file]
    for name in [*(g.file for g in graphs.values()), *run, golden["file"], reference["file"]]:
        if name not in files and not files_in(name, files):
            raise SchemaError(f"'{name}' is not in the list of files.")
    return Manifest(
        model=data.text("model"),
        spec=_spec(data),
        format=data.text("format"),
        precision=data.one_of("precision", PRECISIONS),
        engine=_engine(data.table("engine")),
        graphs=graphs,
        provenance=Provenance.from_table(data.table("provenance")),
        verification=_verification(data.table("verification")),
        golden=golden,
        reference=reference,
        files=files,
        device=data.text("device") if data.data.get("device") is not None else None,
        state=tuple({key: s.text(key) for key in ("from", "to")} for s in data.tables("state")),
        operations=data.words("operations"),
        placement=_placement(data.table("placement")) if "placement" in data else {},
    )


def _spec(data: Table) -> Spec:
    names = {key: list(data.texts(key)) for key in ("labels", "label_ids")}
    spec = Spec.from_dict({**data.table("spec").data, **names})
    if data.text("task") != spec.task:
        raise SchemaError(f"'task' is {data.text('task')!r} and 'spec.task' {spec.task!r}; they must be the same.")
    return spec


def files_in(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that lie in a folder of the bundle."""
    return tuple(name for name in names if name.startswith(f"{folder}/"))


def _graph(name: str, data: Table, proof: Table, stand_in: Table | None) -> GraphFile:
    tensors = {key: tuple(_tensor(t) for t in data.tables(key)) for key in ("inputs", "outputs")}
    for key, found in tensors.items():
        if not found or len({t.name for t in found}) != len(found):
            raise SchemaError(f"'{data.place}.{key}' must be tensors, at least one, each with a name of its own.")
    return GraphFile(
        data.text("file"),
        data.text("entry"),
        tensors["inputs"],
        tensors["outputs"],
        proof.one_of(name, PROOFS),
        _stand_in(stand_in) if stand_in else None,
    )


def _stand_in(data: Table) -> StandIn:
    file = data.text("file") if "file" in data else None
    return StandIn(data.text("engine"), data.one_of("proof", PROOFS), file)


def _tensor(data: Table) -> TensorSpec:
    shape = data.wholes("shape", -1, _MOST_OF_A_DIMENSION)
    elements = math.prod(abs(n) for n in shape)
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or shape[0] > MOST_ROWS or not 1 <= elements <= _MOST_ELEMENTS:
        raise SchemaError(
            f"'{data.place}.shape' must be 1 to {_MOST_DIMENSIONS} dimensions, each -1 or from 1, the first at most "
            f"{MOST_ROWS}, of at most {_MOST_ELEMENTS} numbers in all, not {reprlib.repr(list(shape))}."
        )
    return TensorSpec(data.text("name"), shape, data.one_of("dtype", DTYPES))


def _tensors(tensors: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": t.name, "shape": list(t.shape), "dtype": t.dtype} for t in tensors]


def _file_record(data: Table) -> FileRecord:
    digest = data.text("sha256")
    if not _SHA256.fullmatch(digest):
        raise SchemaError(f"'{data.place}.sha256' must be 64 hexadecimal digits in lower case.")
    return FileRecord(digest, data.whole("bytes", 0, _MOST_FILE_BYTES))


def _engine(data: Table) -> dict[str, str]:
    minimum = data.text("minimum")
    if not _VERSION.fullmatch(minimum):
        raise SchemaError(f"'{data.place}.minimum' must be a version like 1.16, not {reprlib.repr(minimum)}.")
    return {"name": data.text("name"), "minimum": minimum}


def _evidence(data: Table) -> dict[str, Any]:
    """Check what is known of a golden sample or a reference; who uses it asks for what it needs."""
    data.text("file")
    for key in ("relative_tolerance", "noise_relative"):
        if key in data:
            data.number(key, 0, _MOST_RELATIVE)
    if "count" in data:
        data.whole("count", 0, MOST_ROWS)
    return dict(data.data)


def _placement(data: Table) -> dict[str, Any]:
    """Check what people and programs are shown of where the operators run."""
    data.flag("falls_back")
    for view in data.tables("views"):
        for key in ("graph", "unit", "basis"):
            view.text(key)
        for where in view.table("places").data:
            view.table("places").whole(where, 0, _MOST_ELEMENTS)
        for left in view.tables("fallbacks"):
            left.text("op")
            left.whole("count", 1, _MOST_ELEMENTS)
    return dict(data.data)


def _verification(data: Table) -> dict[str, Any]:
    """Check what people and programs are shown of the proof."""
    data.flag("passed")
    if "notes" in data:
        data.texts("notes")
    for gate in data.tables("gates") if "gates" in data else ():
        gate.text("name")
        for key in ("passed", "counted"):
            if key in gate:
                gate.flag(key)
    for key in ("pictures", "figures", "file"):
        if key in data:
            data.table(key)
    return dict(data.data)
