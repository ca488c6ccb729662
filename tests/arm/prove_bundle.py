"""Run on an emulated board: prove one bundle with the verbs that a user would type there, one JSON line each.

``verify --golden`` goes from picture to answer; ``verify`` holds the file against torch's stored answers, and against
its own at export, both made on the workstation. The last line tells where this ran and, if the weights are trained, so
that a class means something, which one a program gets that calls ``edgevit.load``.
"""

from __future__ import annotations

import json
import platform
import sys

import edgevit
from edgevit import kernels
from edgevit.cli import main as edgevit_command
from edgevit.exporters.proof import read_arrays


def main(path: str) -> int:
    """Return the worst exit code of the two verbs."""
    codes = [edgevit_command(["verify", path, *more, "--json"]) for more in (["--golden"], [])]
    seen = {"machine": platform.machine(), "kernels": kernels.status()["implementation"]}
    bundle = edgevit.open_bundle(path)
    print(json.dumps({**seen, **(loaded(bundle) if bundle.manifest.trained else {})}))
    return max(codes)


def loaded(bundle: edgevit.Bundle) -> dict[str, int]:
    """Run the golden picture through the runtime; return its class, and that of the stored answer."""
    picture, output = read_arrays(bundle, "golden", ("picture", "output"))
    with edgevit.load(bundle) as session:
        return {"best": session(picture, color="rgb").top1, "wanted": int(output[0].argmax())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
