"""Say who may import whom, and find the breaches in a module's text. Nothing of edgevit is imported here.

Exempt are imports under ``if TYPE_CHECKING:``, and doors that are strings: the registry, ``door``, and for those who
use the house as a user does (cli, apps) the face's lazy names.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("apps", "devices", "exporters", "kernels", "runtime")
"""The rooms that stand at the top level; edgevit/ holds a link to each."""

_CONTRACT = (
    "edgevit.bundle",
    "edgevit.errors",
    "edgevit.formats",
    "edgevit.manifest",
    "edgevit.overlaps",
    "edgevit.pictures",
    "edgevit.privacy",
    "edgevit.progress",
    "edgevit.registry",
    "edgevit.samples",
    "edgevit.scenes",
    "edgevit.spec",
)
_WORKSHOP = ("edgevit", "edgevit.devices", "edgevit.kernels", "edgevit.kernels.rewrites")

ROOMS: Mapping[str, tuple[str, ...]] = {
    "edgevit": (),
    "edgevit.__main__": ("edgevit.cli",),
    "edgevit.cli": ("edgevit",),
    "edgevit.models": ("edgevit", "edgevit.kernels"),
    "edgevit.training": ("edgevit", "edgevit.kernels", "edgevit.models"),
    "edgevit.devices": ("edgevit.errors",),
    "edgevit.kernels": ("edgevit.errors", "edgevit.spec"),
    "edgevit.kernels.rewrites": ("edgevit.errors", "edgevit.spec", "edgevit.kernels"),
    "edgevit.kernels.cuda": ("edgevit.errors", "edgevit.spec", "edgevit.kernels"),
    "edgevit.runtime": (*_CONTRACT, "edgevit.devices", "edgevit.kernels"),
    "edgevit.exporters": (*_WORKSHOP, "edgevit.models"),
    "edgevit.exporters.verify": (*_WORKSHOP, "edgevit.runtime"),
    "edgevit.exporters.stand_ins": (*_WORKSHOP, "edgevit.runtime"),
    "edgevit.exporters.placement": (*_WORKSHOP, "edgevit.runtime"),
    "edgevit.exporters.trackers": (*_WORKSHOP, "edgevit.models", "edgevit.runtime"),
    "edgevit.exporters.matrix": (*_WORKSHOP, "edgevit.models", "edgevit.runtime"),
    "edgevit.apps": ("edgevit", "edgevit.cli", "edgevit.devices", "edgevit.kernels", "edgevit.runtime"),
}
"""Room -> what it may import. A module belongs to the room with the longest name that fits; so does what it imports."""

_TORCH = ("edgevit.models", "edgevit.training", "edgevit.exporters", "edgevit.kernels.rewrites", "edgevit.kernels.cuda")
_PLACEMENT = ("", ".coreml", ".executorch", ".litert", ".onnx", ".openvino", ".place", ".rows", ".tensorrt")
_TRACKERS = ("", ".agreement", ".composed", ".drift", ".pairs", ".proof", ".verify")
TORCH_FREE_EXPORTERS = (
    *(f"edgevit.exporters{n}" for n in ("", ".agreement", ".pictures", ".proof", ".report", ".stand_ins", ".verify")),
    *(f"edgevit.exporters.placement{n}" for n in _PLACEMENT),
    *(f"edgevit.exporters.trackers{n}" for n in _TRACKERS),
)
"""What a device needs to prove a bundle again; here torch may not be imported, wherever the other exporters may."""
_WEB = ("edgevit.apps.serve", "edgevit.apps.viewer", "edgevit.apps.web")
_TFLITE = ("edgevit.exporters.litert", "edgevit.exporters.tflite_metadata")

OWNERS: Mapping[str, tuple[str, ...]] = {
    "torch": (*_TORCH, "edgevit.runtime.engines.executorch"),  # its runtime takes torch tensors only
    "torchvision": _TORCH,
    "timm": _TORCH,
    "triton": ("edgevit.kernels.cuda",),
    "safetensors": ("edgevit.models", "edgevit.training"),
    "huggingface_hub": ("edgevit.models.hub",),
    "onnx": ("edgevit.exporters.onnx", "edgevit.exporters.placement"),
    "onnxscript": ("edgevit.exporters.onnx",),
    "onnxruntime": ("edgevit.exporters.onnx", "edgevit.exporters.placement", "edgevit.runtime.engines.onnx"),
    "ai_edge_litert": (*_TFLITE, "edgevit.runtime.engines.litert"),
    "tflite_runtime": ("edgevit.runtime.engines.litert",),
    "ai_edge_quantizer": ("edgevit.exporters.litert",),
    "litert_torch": ("edgevit.exporters.litert",),
    "flatbuffers": _TFLITE,
    "torchao": ("edgevit.exporters.executorch",),
    "sklearn": ("edgevit.exporters.coreml",),
    "openvino": ("edgevit.exporters.openvino", "edgevit.runtime.engines.openvino"),
    "nncf": ("edgevit.exporters.openvino",),
    "coremltools": (
        "edgevit.exporters.coreml",
        "edgevit.exporters.mil",
        "edgevit.exporters.executorch",
        "edgevit.runtime.engines.coreml",
    ),
    "executorch": ("edgevit.exporters.executorch", "edgevit.runtime.engines.executorch"),
    "tensorrt": ("edgevit.exporters.tensorrt", "edgevit.runtime.engines.tensorrt"),
    "cv2": (
        *("edgevit.decoders", "edgevit.runtime.sources.video_cv", "edgevit.runtime.track_rivals"),
        *("edgevit.runtime.sources.csi_cv", "edgevit.runtime.sources.live_cv", "edgevit.runtime.sinks.window"),
        *("edgevit.apps.lettering", "edgevit.apps.window"),
    ),
    "PIL": ("edgevit.decoders", "edgevit.apps.lettering", "edgevit.runtime.engines.coreml"),
    "av": (
        *("edgevit.runtime.sources.video_av", "edgevit.runtime.sources.live_av", "edgevit.runtime.sinks.video"),
        *("edgevit.runtime.sources.hardware_av", "edgevit.runtime.sources.listing"),
    ),
    "rich": ("edgevit.cli", "edgevit.models.weights"),
    "supervision": ("edgevit.runtime.results",),
    "starlette": _WEB,
    "uvicorn": ("edgevit.apps.web.protocols", "edgevit.apps.web.running"),
    "websockets": ("edgevit.apps.web.running",),
    "prometheus_client": ("edgevit.apps.run_figures", "edgevit.apps.serve.figures", "edgevit.apps.web"),
}
"""Foreign package -> the only files (and their parts) that may know it.
numpy is everybody's, but for the face and the command line."""

LAZY = ("onnxruntime", "ai_edge_litert", "tflite_runtime", "ai_edge_quantizer", "litert_torch", "openvino", "nncf",
        "coremltools", "executorch", "torchao", "sklearn", "tensorrt", "onnx", "onnxscript", "supervision",
        "huggingface_hub", "starlette", "uvicorn", "websockets", "prometheus_client")  # fmt: skip
"""Imported inside functions only, so that the file of an absent engine can still be opened and say what is missing."""


@dataclass(frozen=True)
class Import:
    """Hold one import: the full name of what it loads, and how it was spelled."""

    target: str
    line: int
    relative: bool
    in_function: bool


def product_files() -> Iterator[Path]:
    """Yield every Python file of the product, each once, in its real folder."""
    for folder in ("edgevit", *LINKED):
        for path in sorted((ROOT / folder).rglob("*.py")):
            linked = folder == "edgevit" and path.relative_to(ROOT / folder).parts[0] in LINKED
            if not linked and "__pycache__" not in path.parts:
                yield path


def module_name(path: Path) -> str:
    """Return the installed name of a file, ``edgevit.runtime.session`` for runtime/session.py."""
    parts = path.resolve().relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "edgevit" else ("edgevit", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def exists(module: str) -> bool:
    """Tell whether a name of ours is a module, by looking at the files."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def breaches(module: str, source: str, *, package: bool, doors: Mapping[str, str]) -> list[str]:
    """Return one sentence for each import in the text that the law forbids to this module.

    ``doors`` are the face's lazy names: for most rooms, importing one is importing what is behind it.
    """
    found = []
    for item in _imports(module, source, package=package, doors=doors):
        root = item.target.partition(".")[0]
        reason = _breach_at_home(module, item) if root == "edgevit" else _breach_abroad(module, root, item)
        if reason:
            found.append(f"{module}:{item.line} imports {item.target}: {reason}")
    return found


def room_of(module: str) -> str:
    """Return the room with the longest name that a module lies in."""
    return max((room for room in ROOMS if _within(module, room)), key=len)


def _breach_at_home(module: str, item: Import) -> str | None:
    if item.target == "edgevit":
        return None  # the face itself weighs nothing, and its doors were followed
    if item.relative and _folder(item.target) != _folder(module):
        return "a relative import stays in its room; spell it edgevit...."
    if not item.relative and _folder(module) != "edgevit" and _folder(item.target) == _folder(module):
        return "inside a room imports are relative; this one would load the room twice"
    room, wanted = room_of(module), room_of(item.target)
    if wanted == room or any(_within(item.target, name) and room_of(name) == wanted for name in ROOMS[room]):
        return None
    if wanted.startswith("edgevit.exporters") and room.startswith("edgevit.exporters"):
        return None
    return f"{room} may import {', '.join(ROOMS[room]) or 'nothing of ours'}"


def _breach_abroad(module: str, root: str, item: Import) -> str | None:
    if root == "numpy" and module in _NUMPY_FREE:
        return "the face and the command line load no numpy"
    if root not in OWNERS:
        return None
    if root in ("torch", "torchvision", "timm") and module in TORCH_FREE_EXPORTERS:
        return "this exporter's half also runs on a device, without torch"
    if not any(_owned_by(module, owner) for owner in OWNERS[root]):
        return f"{root} stands in {', '.join(OWNERS[root])} and nowhere else"
    if root in LAZY and not item.in_function:
        return f"{root} is imported inside the function that uses it"
    return None


_FACE_USERS = ("edgevit", "edgevit.cli", "edgevit.apps")
"""These open the face's lazy names as a user does; anywhere else one would hide an import from this law."""

_NUMPY_FREE = ("edgevit", "edgevit.registry", "edgevit.errors", "edgevit.formats", "edgevit.cli", "edgevit.cli.entry")


def _imports(module: str, source: str, *, package: bool, doors: Mapping[str, str]) -> Iterator[Import]:
    doors = {} if room_of(module) in _FACE_USERS else doors
    for node, in_function in _walk(ast.parse(source), False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, False, in_function)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "edgevit" and node.attr in doors:
            yield Import(doors[node.attr].partition(":")[0], node.lineno, False, in_function)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node, package=package)
            for alias in node.names:
                target = _meant(base, alias.name, doors)
                yield Import(target, node.lineno, node.level > 0, in_function)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str) and name.value.split(".")[0] != "edgevit":
                yield Import(name.value, node.lineno, False, in_function)


def _walk(node: ast.AST, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield other, in_function
                yield from _walk(other, in_function)
            continue
        inside = in_function or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield child, inside
        yield from _walk(child, inside)


def _absolute(module: str, node: ast.ImportFrom, *, package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + package]
    return ".".join([*base, node.module] if node.module else base)


def _meant(base: str, name: str, doors: Mapping[str, str]) -> str:
    """Return the module that ``from base import name`` loads."""
    if base == "edgevit" and name in doors:
        return doors[name].partition(":")[0]
    inner = f"{base}.{name}"
    return inner if base.split(".")[0] == "edgevit" and exists(inner) else base


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _folder(module: str) -> str:
    """Return the top-level folder in which a module of ours stands."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LINKED else parts[0]


def _owned_by(module: str, owner: str) -> bool:
    """Tell whether a module is an owner, lies in it, or is a part of one: ``coreml_ops`` is one of ``coreml``."""
    return _within(module, owner) or module.startswith(owner + "_")


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")
