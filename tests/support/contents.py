"""Say what a wheel and an sdist of edgevit must hold, and what they must not, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from import_law import LINKED, ROOT, product_files

WHEEL_NAME = re.compile(r"edgevit-(?P<version>[^-]+)-py3-none-(?P<platform>(?!any)\w+)\.whl")
_LIBRARY = re.compile(r"edgevit/kernels/(lib)?edgevit_kernels\.(so|dylib|dll)")


def installed_name(path: str) -> str:
    """Return where a file of the tree lies in a wheel."""
    return f"edgevit/{path}" if path.split("/")[0] in LINKED else path


def promised() -> set[str]:
    """Return the wheel's names of every module, device, page and weight in the tree."""
    files = {path.relative_to(ROOT).as_posix() for path in product_files()}
    files |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "devices").glob("*.toml")}
    files |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "apps" / "viewer" / "static").iterdir()}
    weights = ROOT / "edgevit" / "weights"
    files |= {path.relative_to(ROOT).as_posix() for path in weights.rglob("*") if path.is_file() and _ships(path.parts)}
    return {installed_name(path) for path in files} | {"edgevit/py.typed"}


def faults_of_wheel(name: str, members: Sequence[str]) -> list[str]:
    """Return what is wrong with a wheel's name and its list of files."""
    faults = [] if WHEEL_NAME.fullmatch(name) else [f"{name} is not the name of a native wheel for every Python 3"]
    files = [member for member in members if not member.endswith("/")]
    faults += [f"{missing} is missing" for missing in sorted(promised() - set(files))]
    if not any(_LIBRARY.fullmatch(file) for file in files):
        faults.append("the native kernels are missing")
    faults += [
        f"{file} has no place in a wheel"
        for file in files
        if not re.match(r"edgevit/|edgevit-[^/]+\.dist-info/", file)
        or re.match(r"edgevit/(kernels/native|tests)/", file)
        or not _ships(tuple(file.split("/")))
    ]
    if len(files) != len(set(files)):
        faults.append("a file is there twice")
    if not any(file.endswith("LICENSE") for file in files):
        faults.append("the licence is missing")
    return faults


def faults_of_sdist(members: Sequence[tuple[str, bool]]) -> list[str]:
    """Return what is wrong with an sdist's list of (name, is a link)."""
    names = {name.partition("/")[2] for name, _ in members}
    wanted = {path.relative_to(ROOT).as_posix() for path in product_files()}
    wanted |= {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "Makefile", "kernels/native/CMakeLists.txt"}
    faults = [f"{missing} is missing" for missing in sorted(wanted - names)]
    faults += [f"{name} is a link, and some systems have none" for name, link in members if link]
    doubled = [name for name in names if re.match(rf"edgevit/({'|'.join(LINKED)})/", name)]
    return faults + ([f"{doubled[0]} is there twice, under its link too"] if doubled else [])


def _ships(parts: tuple[str, ...]) -> bool:
    return "__pycache__" not in parts and not any(part.startswith(".") for part in parts)
