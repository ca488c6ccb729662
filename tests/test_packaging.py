"""Keep what pip reads: version, extras, the pinned set, and `make`. (`make package-test` installs in earnest.)"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import contents
import import_law as law
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

import edgevit
from edgevit.cli.packages import PACKAGES
from edgevit.formats import FORMATS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads(law.ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PINS = {
    canonicalize_name(pin.name): pin
    for line in law.ROOT.joinpath("constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for pin in [Requirement(line)]
}


def needed(extra: str) -> dict[NormalizedName, Requirement]:
    """Return what an extra installs by itself or through our other extras."""
    found: dict[NormalizedName, Requirement] = {}
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == "edgevit":
            for inner in requirement.extras:
                found |= needed(inner)
        else:
            found[canonicalize_name(requirement.name)] = requirement
    return found


def test_the_version_stands_in_one_place() -> None:
    text = law.ROOT.joinpath("edgevit", "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', text, re.M) == [edgevit.__version__]
    assert "version" in PROJECT["project"]["dynamic"]
    changes = law.ROOT.joinpath("CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.M)
    assert f"## {edgevit.__version__}" in changes


def test_the_base_install_brings_numpy_and_nothing_heavy() -> None:
    base = {canonicalize_name(Requirement(text).name) for text in PROJECT["project"]["dependencies"]}
    assert base == {"numpy", "tomli"}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_its_extra_with_one_engine(name: str) -> None:
    target = FORMATS[name]
    packages = needed(target.extra)
    engine = canonicalize_name(target.engine_package)
    assert set(packages) == {engine}, "a device installs one engine and nothing else"
    assert f">={target.engine_minimum}" == str(packages[engine].specifier)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.name))
def test_the_extra_that_doctor_names_brings_the_package(package: Any) -> None:
    if package.extra and package.name != "tflite-runtime":
        assert canonicalize_name(package.name) in needed(package.extra)


def promised() -> list[tuple[str, str, str]]:
    """Return package, extra and place of each ``missing(package, purpose, extra)`` whose words stand in the source."""
    found = []
    for path in law.product_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "missing":
                package, _, extra = node.args
                if isinstance(package, ast.Constant) and isinstance(extra, ast.Constant):
                    found.append((str(package.value), str(extra.value), f"{path.relative_to(law.ROOT)}:{node.lineno}"))
    return found


@pytest.mark.parametrize(("package", "extra", "place"), promised())
def test_what_a_sentence_says_to_type_brings_the_package(package: str, extra: str, place: str) -> None:
    if extra:
        assert canonicalize_name(package) in needed(extra), place
    else:
        assert package in [name for known in PACKAGES for name in known.distributions], place


def test_the_sentences_are_found() -> None:
    assert {"pillow", "av", "opencv-python", "starlette"} <= {package for package, _, _ in promised()}


def test_no_device_extra_brings_torch_or_an_opencv() -> None:
    for extra in ("onnx", "litert", "openvino", "image", "camera"):
        assert not {"torch", "timm", "opencv-python", "opencv-python-headless"} & set(needed(extra)), extra


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    direct = needed("dev") | {
        canonicalize_name(r.name): r for r in map(Requirement, PROJECT["project"]["dependencies"])
    }
    for name, requirement in direct.items():
        assert name in PINS, f"constraints.txt lacks {name}"
        (pin,) = PINS[name].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{name} {pin.version} is not within {requirement}"


@pytest.mark.parametrize(
    ("name", "version"),
    [("torch", "==2.14.1"), ("torchvision", "==0.29.*"), ("coremltools", "==9.0"), ("executorch", "==1.5.1")],
)
def test_the_set_holds_the_exporters_that_are_known_to_fit_together(name: str, version: str) -> None:
    (pin,) = PINS[canonicalize_name(name)].specifier
    assert SpecifierSet(version).contains(pin.version)


def test_a_constraint_is_a_plain_pin() -> None:
    lines = law.ROOT.joinpath("constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert len(pins) == len(PINS), "a package is pinned twice"


def test_every_room_is_mapped_into_the_wheel() -> None:
    tool = PROJECT["tool"]["scikit-build"]
    assert tool["wheel"]["packages"] == {"edgevit": "edgevit", **{f"edgevit/{room}": room for room in law.LINKED}}
    assert set(tool["sdist"]["exclude"]) == {f"/edgevit/{room}" for room in law.LINKED}


def test_make_says_what_can_be_typed_and_what_is_missing(tmp_path: Path) -> None:
    said = subprocess.run(["make", "help"], cwd=law.ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "test-all", "lint", "types", "wheel", "package-test", "system-deps", "clean"):
        assert re.search(rf"^  make {target} +\w", said, re.M)
    python = tmp_path / "env" / "bin" / "python"
    words = ["make", "PYTHON=", f"VENV={tmp_path / 'env'}", str(python)]
    refused = subprocess.run(words, cwd=law.ROOT, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "needs Python 3.10 or later" in refused.stderr


PAGE = ("index.html", "viewer.js", "connection.js", "overlay.js", "viewer.css", "icon.svg")
GOOD_WHEEL = "edgevit-0.1.0-py3-none-linux_x86_64.whl"


def wheel_members() -> list[str]:
    extra = ["edgevit/kernels/libedgevit_kernels.so", "edgevit-0.1.0.dist-info/licenses/LICENSE"]
    return [*sorted(contents.promised()), *extra]


def test_a_whole_wheel_is_let_through() -> None:
    assert contents.faults_of_wheel(GOOD_WHEEL, wheel_members()) == []
    assert {"edgevit/runtime/session.py", "edgevit/devices/pixel-8.toml", "edgevit/py.typed"} <= contents.promised()
    assert {f"edgevit/apps/viewer/static/{name}" for name in PAGE} <= contents.promised()


@pytest.mark.parametrize(
    ("name", "without", "added", "fault"),
    [
        ("edgevit-0.1.0-py3-none-any.whl", "", "", "is not the name of a native wheel"),
        ("edgevit-0.1.0-cp311-cp311-linux_x86_64.whl", "", "", "is not the name of a native wheel"),
        (GOOD_WHEEL, "edgevit/runtime/session.py", "", "session.py is missing"),
        (GOOD_WHEEL, "edgevit/devices/host.toml", "", "host.toml is missing"),
        (GOOD_WHEEL, "edgevit/apps/viewer/static/connection.js", "", "connection.js is missing"),
        (GOOD_WHEEL, "edgevit/kernels/libedgevit_kernels.so", "", "the native kernels are missing"),
        (GOOD_WHEEL, "edgevit-0.1.0.dist-info/licenses/LICENSE", "", "the licence is missing"),
        (GOOD_WHEEL, "", "runtime/session.py", "has no place in a wheel"),
        (GOOD_WHEEL, "", "edgevit/kernels/native/color.cpp", "has no place in a wheel"),
        (GOOD_WHEEL, "", "edgevit/__pycache__/spec.pyc", "has no place in a wheel"),
        (GOOD_WHEEL, "", "edgevit/spec.py", "a file is there twice"),
    ],
)
def test_a_wheel_that_is_not_whole_is_caught(name: str, without: str, added: str, fault: str) -> None:
    members = [member for member in wheel_members() if member != without] + ([added] if added else [])
    found = contents.faults_of_wheel(name, members)
    assert len(found) == 1
    assert fault in found[0]
