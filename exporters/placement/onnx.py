"""See what ONNX Runtime makes of a file: fusions, and the provider that ran each node, in one run on zeros.

Executed: the graph is the one that the runtime saves after optimising it as it does for every session, the provider is
read from its own profile. Nothing falls back on the CPU; with another provider, every node that the CPU ran does, those
that ONNX Runtime added there included.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EngineError, UnsupportedError, missing, reason
from edgevit.manifest import GraphFile
from edgevit.runtime.engines import EngineOptions
from edgevit.runtime.engines.onnx_guard import check_onnx

from .onnx_file import Node, read_graph
from .onnx_fusion import constant_nodes, homes_of
from .rows import Op, Subject, View

CPU = "CPUExecutionProvider"
_SUFFIX = "ExecutionProvider"
_SILENT = 4
_KERNEL = "_kernel_time"
_ADDED = "added by ONNX Runtime"

Ran = Mapping[tuple[str, str], str]
"""(name, operator) -> provider, as the profile has it."""


def look(subject: Subject) -> tuple[View, ...]:
    """Compare the file with the graph that ran."""
    with tempfile.TemporaryDirectory() as folder:
        release, ran = _run(subject, Path(folder))
        made = read_graph(Path(folder) / "optimised.onnx")
    wanted = _provider(subject.provider) if subject.provider else CPU
    file = read_graph(subject.path)
    homes, constant = homes_of(file, made), constant_nodes(file)
    known = {id(home) for home in homes.values()}
    ops = [_fate(node, homes.get(node.outputs), ran, wanted, constant) for node in file.nodes]
    ops += [_row(node, node, ran, wanted, _ADDED) for node in made.nodes if id(node) not in known]
    told = (
        f"ONNX Runtime {release} on {platform.machine()}: {len(file.nodes)} nodes in the file, {len(made.nodes)} after "
        "its optimiser, which fuses for the processor that it stands on",
    )
    return (View(_short(wanted), tuple(ops), notes=told),)


def _provider(name: str) -> str:
    """Return the full name of a provider of this build; ``cuda`` and ``CUDAExecutionProvider`` are both understood."""
    available: list[str] = _runtime().get_available_providers()
    spelled = {p.removesuffix(_SUFFIX).lower(): p for p in available}
    found = spelled.get(name.lower().removesuffix(_SUFFIX.lower()))
    if found is None:
        raise UnsupportedError(
            f"This ONNX Runtime has no provider '{name}'; it has {', '.join(spelled)}. "
            "Leave --provider out for the CPU."
        )
    return found


def _short(provider: str) -> str:
    return provider.removesuffix(_SUFFIX)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as exc:
        raise missing("onnxruntime", "Looking where an ONNX bundle runs", "onnx") from exc
    return onnxruntime


def _run(subject: Subject, folder: Path) -> tuple[str, Ran]:
    """Run the file once on zeros; leave the optimised graph in the folder and return who ran what."""
    ort = _runtime()
    check_onnx(subject.path)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = EngineOptions().thread_count
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _SILENT
    settings.optimized_model_filepath = str(folder / "optimised.onnx")
    settings.enable_profiling = True
    settings.profile_file_prefix = str(folder / "profile")
    providers = [_provider(subject.provider), CPU] if subject.provider else [CPU]
    try:
        session = ort.InferenceSession(str(subject.path), settings, providers=list(dict.fromkeys(providers)))
        session.run(None, _zeros(subject.graph))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    except Exception as exc:
        raise EngineError(f"ONNX Runtime {ort.__version__} cannot run {subject.path.name}: {reason(exc)}") from exc
    kernels = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith(_KERNEL)]
    return str(ort.__version__), {
        (e["name"].removesuffix(_KERNEL), e["args"].get("op_name", "")): e["args"].get("provider", "") for e in kernels
    }


def _zeros(graph: GraphFile) -> dict[str, Any]:
    return {t.name: np.zeros([1 if n == -1 else n for n in t.shape], t.dtype) for t in graph.inputs}


def _fate(node: Node, home: Node | None, ran: Ran, wanted: str, constant: frozenset[tuple[str, ...]]) -> Op:
    """Tell what became of a node of the file."""
    if home is None:
        why = (
            "computed once, when the file is opened" if node.outputs in constant else "done away with by the optimiser"
        )
        return Op(node.kind, "nowhere", "executed", why, name=node.name)
    return _row(node, home, ran, wanted, "" if home.kind == node.kind else f"runs as {_told(home.kind)}")


def _row(node: Node, home: Node, ran: Ran, wanted: str, why: str) -> Op:
    everybody = set(ran.values())
    alone = next(iter(everybody)) if len(everybody) == 1 else ""
    provider = ran.get((home.name, home.kind.rpartition(".")[2]), alone)
    falls_back = bool(provider) and provider != wanted
    if falls_back:
        why = f"{_ADDED}, outside {_short(wanted)}" if why == _ADDED else f"{_short(wanted)} did not take it"
    return Op(_told(node.kind), _short(provider) or "not seen", "executed", why, falls_back, node.name)


def _told(kind: str) -> str:
    """Spell an operator for people: where it is from matters only for the blocked layout."""
    domain, _, name = kind.rpartition(".")
    return f"{name} in blocks of channels" if domain.endswith("nchwc") else name
