"""Keep the import law of the house: who may import whom, where engines may stand, what a first import may load.

The law itself is the table in support/import_law.py.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import import_law as law
import pytest

import edgevit
from edgevit.registry import Registry

FILES = tuple(law.product_files())
HEAVY = (*law.LAZY, "torch", "torchvision", "timm", "cv2", "PIL", "av", "rich")


def check(module: str, source: str, *, package: bool = False) -> list[str]:
    return law.breaches(module, source, package=package, doors=edgevit._DOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(law.ROOT)))
def test_every_module_keeps_the_import_law(path: Path) -> None:
    found = check(law.module_name(path), path.read_text(encoding="utf-8"), package=path.name == "__init__.py")
    assert not found, "\n".join(found)


def test_the_walk_sees_every_room() -> None:
    seen = {law.room_of(law.module_name(path)) for path in FILES}
    assert seen >= {"edgevit", "edgevit.cli", "edgevit.models", "edgevit.training", "edgevit.kernels.rewrites"}
    assert seen >= {f"edgevit.{room}" for room in law.LINKED}
    assert len(FILES) == len({path.resolve() for path in FILES})


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("edgevit.spec", "from edgevit.runtime import load", "edgevit may import nothing of ours"),
        ("edgevit.spec", "from .kernels import prepare", "a relative import stays in its room"),
        ("edgevit.spec", "from . import models", "edgevit may import nothing of ours"),
        ("edgevit.cli.list", "def run():\n  from edgevit.models import describe", "edgevit.cli may import edgevit"),
        ("edgevit.cli.entry", "import numpy", "load no numpy"),
        ("edgevit.scenes.shapes", "import torch", "torch stands in"),
        ("edgevit.models.hit", "from edgevit.runtime.tasks import track", "edgevit.models may import"),
        ("edgevit.models.hit", "from edgevit import load", "imports edgevit.runtime: edgevit.models may import"),
        ("edgevit.kernels.boxes", "from edgevit.bundle import Bundle", "edgevit.kernels may import"),
        ("edgevit.kernels.boxes", "from .rewrites import fuse", "edgevit.kernels may import"),
        ("edgevit.kernels.boxes", "import torch.nn", "torch stands in"),
        ("edgevit.kernels.boxes", "from edgevit.kernels.image import resize", "inside a room imports are relative"),
        ("edgevit.devices.reader", "from edgevit.spec import Spec", "edgevit.devices may import edgevit.errors"),
        ("edgevit.runtime.session", "from edgevit.exporters.onnx import convert", "edgevit.runtime may import"),
        ("edgevit.runtime.session", "from edgevit.models import create_model", "edgevit.runtime may import"),
        ("edgevit.runtime.session", "from edgevit import create_model", "imports edgevit.models: edgevit.runtime may"),
        (
            "edgevit.runtime.session",
            "import edgevit\nedgevit.export('x')",
            "imports edgevit.exporters: edgevit.runtime",
        ),
        ("edgevit.runtime.session", "import edgevit.exporters as e", "edgevit.runtime may import"),
        ("edgevit.runtime.session", "from edgevit.kernels.rewrites import fuse", "edgevit.runtime may import"),
        ("edgevit.runtime.session", "from ..spec import Spec", "a relative import stays in its room"),
        ("edgevit.runtime.session", "def f():\n  import torch", "torch stands in"),
        ("edgevit.runtime.session", "import importlib\nimportlib.import_module('torch')", "torch stands in"),
        ("edgevit.runtime.session", "def f():\n  import onnxruntime as ort", "onnxruntime stands in"),
        ("edgevit.runtime.engines.onnx", "import onnxruntime", "inside the function that uses it"),
        ("edgevit.runtime.engines.onnx", "def load():\n  from openvino import Core", "openvino stands in"),
        ("edgevit.exporters.base", "from edgevit.runtime import load", "edgevit.exporters may import"),
        ("edgevit.exporters.base", "from edgevit.apps.draw import draw", "edgevit.exporters may import"),
        ("edgevit.exporters.verify", "from edgevit.models import create_model", "edgevit.exporters.verify may import"),
        ("edgevit.exporters.verify", "def f():\n  import torch", "also runs on a device"),
        ("edgevit.apps.track", "from edgevit.exporters import export", "edgevit.apps may import"),
        ("edgevit.apps.track", "class A:\n  def f(self):\n    if True:\n      import cv2", "cv2 stands in"),
        ("edgevit.runtime.session", "if TYPE_CHECKING:\n  pass\nelse:\n  import torch", "torch stands in"),
    ],
)
def test_a_planted_breach_is_caught(module: str, source: str, reason: str) -> None:
    found = check(module, source)
    assert len(found) == 1
    assert reason in found[0]
    assert found[0].startswith(f"{module}:")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("edgevit.runtime.session", "if TYPE_CHECKING:\n  import torch\n  from edgevit.models import ModelDef"),
        ("edgevit.runtime.session", "from edgevit.registry import door\ndoor('edgevit.exporters:export')"),
        ("edgevit.runtime.session", "from edgevit import __version__, spec\nfrom edgevit import kernels"),
        ("edgevit.runtime.session", "import edgevit\nprint(edgevit.__file__)"),
        ("edgevit.apps.demo", "import edgevit\nedgevit.export('x', format='onnx')"),
        ("edgevit.runtime.sinks.fan", "from ..frame import Frame\nfrom .. import results"),
        ("edgevit.runtime.engines.onnx", "def load():\n  import onnxruntime"),
        ("edgevit.cli.export", "def run():\n  from .. import export"),
        ("edgevit.exporters.verify", "from edgevit.runtime.engines import load_engine\nfrom .pictures import choose"),
        ("edgevit.kernels.rewrites.fuse", "import torch\nfrom ..spec import x\nfrom edgevit.spec import Spec"),
        ("edgevit.models.hit", "import torch\nfrom edgevit.kernels.boxes import iou\nfrom ..spec import Spec"),
    ],
)
def test_what_the_law_allows_is_let_through(module: str, source: str) -> None:
    assert check(module, source) == []


def test_a_breach_written_into_a_room_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("edgevit", "runtime"):
        (tmp_path / room).mkdir()
    (tmp_path / "edgevit" / "__init__.py").write_text("")
    (tmp_path / "edgevit" / "runtime").symlink_to("../runtime")
    (tmp_path / "runtime" / "session.py").write_text("from edgevit.exporters import export\n")
    monkeypatch.setattr(law, "ROOT", tmp_path)
    files = list(law.product_files())
    assert [path.name for path in files] == ["__init__.py", "session.py"]
    (found,) = check(law.module_name(files[1]), files[1].read_text())
    assert found.startswith("edgevit.runtime.session:1 imports edgevit.exporters: edgevit.runtime may import ")


@pytest.mark.parametrize("room", law.LINKED)
def test_each_room_has_its_link(room: str) -> None:
    link = law.ROOT / "edgevit" / room
    assert link.is_symlink(), f"type: ln -s ../{room} edgevit/{room}"
    assert link.readlink() == Path("..", room)
    assert (link / "__init__.py").is_file()


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and return the top-level names of what it loaded."""
    script = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=law.ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


NULL_ENGINE = """
import edgevit.runtime
from pathlib import Path
from edgevit.manifest import GraphFile
from edgevit.spec import TensorSpec
from edgevit.runtime.engines import EngineOptions, load_engine, run_checked
import numpy as np
graph = GraphFile('x.onnx', 'main', (TensorSpec('x', (1, 3, 8, 8)),), (TensorSpec('y', (1, 4)),), 'executed')
run_checked(load_engine('null', Path('x.onnx'), graph, EngineOptions()), graph, {'x': np.zeros((1, 3, 8, 8), 'f4')})
"""


@pytest.mark.parametrize(
    ("statement", "free_of"),
    [
        ("import edgevit; edgevit.list_models()", (*HEAVY, "numpy")),
        ("from edgevit.cli import main; assert main(['--help']) == 0", (*HEAVY, "numpy")),
        ("from edgevit.cli import main; assert main(['list', '--help']) == 0", (*HEAVY, "numpy")),
        ("import edgevit; edgevit.list_devices()", HEAVY),
        ("import edgevit.exporters, edgevit.exporters.verify", HEAVY),
        (NULL_ENGINE, HEAVY),
    ],
    ids=("face", "help", "help of a verb", "devices", "proof", "null engine"),
)
def test_a_first_use_loads_nothing_heavy(statement: str, free_of: tuple[str, ...]) -> None:
    assert loaded_by(statement).isdisjoint(free_of)


def test_without_torch_every_module_that_promises_it_can_be_imported() -> None:
    """With torch, the engines and the converters absent, by a finder that refuses them and names the culprit."""
    shut = sorted({*law.LAZY, "torch", "torchvision", "timm", "PIL", "safetensors"})
    own = ("edgevit.__main__", "edgevit.cli.live", "edgevit.runtime.sources.video_")
    modules = [
        name
        for name in map(law.module_name, FILES)
        if not name.startswith((*law.OWNERS["torch"], *own)) or name in law.TORCH_FREE_EXPORTERS
    ]
    assert len(modules) > 80
    script = (
        "import importlib, sys\n"
        "class Shut:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {shut}: raise ModuleNotFoundError('shut: ' + name, name=name)\n"
        "sys.meta_path.insert(0, Shut())\n"
        f"for name in {modules}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=law.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def registries() -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every registry in the product."""
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            call = node.value if isinstance(node, ast.Assign) else None
            if isinstance(node, ast.Assign) and isinstance(call, ast.Call) and ast.unparse(call.func) == "Registry":
                yield law.module_name(path), ast.unparse(node.targets[0])


def test_every_registered_module_exists() -> None:
    found = dict.fromkeys(registries())
    names = {name for _, name in found}
    assert names >= {"MODELS", "EXPORTERS", "ENGINES", "TASKS", "VERBS", "KINDS"}
    for module, name in found:
        registry = getattr(importlib.import_module(module), name)
        assert isinstance(registry, Registry)
        assert len(registry) > 0
        for key, target in registry.items():
            assert law.exists(target), f"{module}.{name} sends {key!r} to {target}, which is no module"


DOOR = re.compile(r"edgevit(\.\w+)*:\w+")


def doors() -> Iterator[tuple[str, str]]:
    """Yield every string of the form "package.module:name" in the product, and where it stands."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOOR.fullmatch(node.value):
                yield f"{path.relative_to(law.ROOT)}:{node.lineno}", node.value


def test_every_door_that_is_a_string_leads_somewhere() -> None:
    """No type checker sees behind a string."""
    found = dict(doors())
    assert len(found) > 15
    for where, target in found.items():
        module, _, name = target.partition(":")
        assert law.exists(module), f"{where} opens {target}: there is no such module"
        assert hasattr(importlib.import_module(module), name), f"{where} opens {target}: {module} has no {name}"
