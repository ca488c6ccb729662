"""Install a built wheel into a clean environment without torch, and use it there as a board would.

    PYTHONPATH=tests/support python tests/packaging/run.py dist

Looks into the wheel and the sdist, then, once with this Python and once with 3.10 if this machine has it: installs
``edgevit[onnx,image]``, checks that torch is absent, measures what a first import costs, and runs the shipped bundle.
Ends with 1 at the first thing that is wrong. Times are printed, not judged: machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from contents import faults_of_sdist, faults_of_wheel

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 5
ROUNDS = 7
RENDER = """
import sys
from PIL import Image
from edgevit.scenes.shapes import LABELS, render
for index in range(int(sys.argv[1])):
    pixels, label = render(index)
    Image.fromarray(pixels).save(f"{index}-{LABELS[label]}.png")
"""
STATUS = "import json, edgevit.kernels as k; print(json.dumps(k.status(), default=str))"


class BrokenPromiseError(Exception):
    """Something is not as promised."""


def main() -> int:
    """Check everything in a folder of distributions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path)
    dist: Path = parser.parse_args().dist
    try:
        wheel, sdist = only(dist, "*.whl"), only(dist, "*.tar.gz")
        with zipfile.ZipFile(wheel) as archive:
            report(wheel, faults_of_wheel(wheel.name, archive.namelist()))
        with tarfile.open(sdist) as tar:
            report(sdist, faults_of_sdist([(member.name, member.issym()) for member in tar.getmembers()]))
        pythons = [sys.executable, *filter(works, ["python3.10"])]
        for python in dict.fromkeys(pythons):
            with tempfile.TemporaryDirectory(prefix="edgevit-package-") as folder:
                use(wheel.resolve(), python, Path(folder))
    except BrokenPromiseError as fault:
        print(f"package-test: {fault}", file=sys.stderr)
        return 1
    print("package-test: all is as promised")
    return 0


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a kind."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BrokenPromiseError(f"expected one {pattern} in {folder}, found {len(found)}. Type: make wheel")
    return found[0]


def report(path: Path, faults: Sequence[str]) -> None:
    """Say that a file is whole, or what it lacks."""
    if faults:
        raise BrokenPromiseError(f"{path.name}: " + "; ".join(faults))
    print(f"{path.name}: whole, {path.stat().st_size / 1e6:.2f} MB")


def works(python: str) -> bool:
    """Tell whether an interpreter of this name runs here and can make environments."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def use(wheel: Path, base: str, folder: Path) -> None:
    """Install the wheel and walk the road of somebody with a board."""
    call([base, "-m", "venv", "env"], folder)
    python = str(folder / "env" / "bin" / "python")
    version = call([python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], folder).strip()
    pins = ["-c", str(ROOT / "constraints.txt")] if version != "3.10" else []
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    call([*install, f"edgevit[onnx,image] @ {wheel.as_uri()}"], folder)
    size = sum(file.stat().st_size for file in (folder / "env").rglob("*") if file.is_file()) / 1e6
    print(f"\nPython {version}: installed edgevit[onnx,image], {size:.0f} MB with Python's own pip")

    for absent in ("torch", "runtime", "exporters", "apps"):
        if subprocess.run([python, "-c", f"import {absent}"], cwd=folder, capture_output=True).returncode == 0:
            raise BrokenPromiseError(f"'import {absent}' works in an environment that must not have it")
    kernels = json.loads(call([python, "-c", STATUS], folder))
    if kernels["implementation"] == "numpy":
        raise BrokenPromiseError(f"the wheel's native kernels are not used: {kernels}")
    print(f"kernels: {kernels['implementation']}")
    first_costs(python, folder)
    predict(folder / "env" / "bin" / "edgevit", python, folder)


def first_costs(python: str, folder: Path) -> None:
    """Print what the first import and the help cost over the bare interpreter; the runs take turns."""
    ways = {
        "bare interpreter": [python, "-c", "pass"],
        "import edgevit": [python, "-c", "import edgevit"],
        "edgevit --help": [str(folder / "env" / "bin" / "edgevit"), "--help"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, command in ways.items():
            begun = time.perf_counter()
            call(command, folder)
            seconds[name].append(time.perf_counter() - begun)
    bare = statistics.median(seconds["bare interpreter"])
    for name, wanted in (("import edgevit", 0.1), ("edgevit --help", 0.3)):
        over = statistics.median(seconds[name]) - bare
        print(f"{name}: {over:.3f} s over the bare interpreter's {bare:.3f} s (wanted: under {wanted} s)")


def predict(edgevit: Path, python: str, folder: Path) -> None:
    """Render pictures, run the shipped bundle on them, and compare with the truth in their names."""
    pictures = folder / "pictures"
    pictures.mkdir()
    call([python, "-c", RENDER, str(PICTURES)], pictures)
    print(call([str(edgevit), "verify", "shvit_shapes", "--golden"], folder).strip())
    answers = call([str(edgevit), "predict", "shvit_shapes", str(pictures), "--json"], folder).splitlines()
    if len(answers) != PICTURES:
        raise BrokenPromiseError(f"{PICTURES} pictures got {len(answers)} answers")
    right = 0
    for line in answers:
        answer = json.loads(line)
        truth = Path(answer["source"]).stem.partition("-")[2]
        best = answer["top"][0]
        right += best["name"] == truth
        print(f"{truth}: {best['name']} {best['score']:.3f}")
    if right < PICTURES - 1:
        raise BrokenPromiseError(f"only {right} of {PICTURES} rendered pictures were recognised")


def call(command: Sequence[str], folder: Path) -> str:
    """Run a command away from the repository and return what it printed."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "EDGEVIT", "VIRTUAL_ENV"))
    }
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    if done.returncode:
        raise BrokenPromiseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
