"""Make a private ARM root: the C library and the Python of this machine's own Debian sources, and the real wheels.

apt and pip work for another architecture, in folders of their own: no rights, no chroot, no binfmt, and the dpkg of
this machine never hears of it. The root is kept under a key of what it was asked to be; ``make clean`` removes it.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve()
HOUSE = HERE.parents[2]
WORK = HOUSE / "build" / "arm"
CONSTRAINTS = HOUSE / "constraints.txt"

EMULATOR, COMPILER = "qemu-aarch64-static", "aarch64-linux-gnu-g++"
TOOLS = (EMULATOR, COMPILER, "cmake", "apt-get", "dpkg-deb")
PACKAGES = ("python3", "libstdc++6", "libgomp1")
WHEELS = ("numpy", "onnxruntime", "ai-edge-litert", "pillow", "pytest", "pytest-timeout", "hypothesis")
_PLATFORMS = tuple(f"manylinux{glibc}_aarch64" for glibc in ("_2_34", "_2_28", "_2_27", "_2_17", "2014"))


class LackError(Exception):
    """This machine cannot run ARM programs; the sentence says what it lacks."""


@dataclass(frozen=True)
class Root:
    """Hold ``system``, where the packages lie, and ``site``, where the wheels do."""

    folder: Path

    @property
    def system(self) -> Path:
        return self.folder / "system"

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def python(self) -> Path:
        """Return the interpreter, ``usr/bin/python3.11`` or another minor version."""
        found = sorted((self.system / "usr" / "bin").glob("python3.*[0-9]"))
        if len(found) != 1:
            raise LackError(f"the packages {', '.join(PACKAGES)} brought {len(found)} Pythons, and one was expected")
        return found[0]


def check_tools() -> None:
    """Raise unless this machine has all that an emulated run needs."""
    if platform.system() != "Linux" or platform.machine() in ("aarch64", "arm64"):
        raise LackError(
            f"this machine is {platform.system()} on {platform.machine()}; the emulation is for Linux on other "
            "processors than ARM (on ARM itself, make test is the proof)"
        )
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        raise LackError(f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not here. Type: make system-deps")


def key(constraints: str, release: str) -> str:
    """Name a root by what goes into it: the distribution's release, the packages, the wheels and all pins."""
    pins = "\n".join(line for line in constraints.splitlines() if line and not line.startswith("#"))
    asked = "\n".join((*PACKAGES, *WHEELS, *_PLATFORMS, release, pins))
    return hashlib.sha256(asked.encode()).hexdigest()[:12]


def ready() -> Root:
    """Return the root, made now if there is none of its key. Older ones go."""
    release = "".join(line for line in _os_release() if line.startswith(("ID=", "VERSION_ID=")))
    folder = WORK / f"root-{key(CONSTRAINTS.read_text(encoding='utf-8'), release)}"
    if not folder.is_dir():
        for old in WORK.glob("root-*"):
            shutil.rmtree(old)
        part = folder.with_suffix(".part")
        part.mkdir(parents=True)
        _install_packages(part)
        _install_wheels(Root(part))
        part.rename(folder)
    return Root(folder)


def _os_release() -> Sequence[str]:
    path = Path("/etc/os-release")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()


def _install_packages(folder: Path) -> None:
    """Let apt find the packages and all that they need, as if nothing were installed, and unpack them."""
    apt, system = folder / "apt", folder / "system"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    system.mkdir()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    fetch = ["install", "--yes", "--download-only", "--no-install-recommends", *PACKAGES]
    for words in (["update"], fetch):
        _call(["apt-get", "-qq", *options, *words], "Debian's packages for arm64 cannot be had")
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _call(["dpkg-deb", "--extract", str(package), str(system)], f"{package.name} cannot be unpacked")
    shutil.rmtree(apt)
    for name in ("lib", "bin"):  # where the distribution has merged them, the links are in a package of their own
        if not (system / name).exists():
            (system / name).symlink_to(f"usr/{name}")


def _install_wheels(root: Root) -> None:
    """Let pip choose wheels for the root's Python instead of this one, within the pinned set."""
    version = root.python.name.removeprefix("python")
    abi = f"cp{version.replace('.', '')}"
    tags = [word for name in _PLATFORMS for word in ("--platform", name)]
    tags += ["--python-version", version, "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    where = ["--target", str(root.site), "--only-binary=:all:", *tags, "-c", str(CONSTRAINTS)]
    _call([*install, *where, *WHEELS], "the wheels for aarch64 cannot be had")


def _call(command: Sequence[str], sentence: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"it ended with {done.returncode}").splitlines()[-1]
        raise LackError(f"{sentence}. {Path(command[0]).name}: {last}")
