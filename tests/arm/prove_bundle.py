"""Run on an emulated board: prove one bundle with the verbs that a user would type there, one JSON line each.

``verify --golden`` goes from picture to answer; ``verify`` holds the file against torch's stored answers, and against
its own at export, both made on the workstation. The last line is what a program gets that calls ``edgevit.load``.
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
    picture, output = read_arrays(edgevit.open_bundle(path), "golden", ("picture", "output"))
    with edgevit.load(path) as session:
        result = session(picture, color="rgb")
    seen = {"machine": platform.machine(), "kernels": kernels.status()["implementation"]}
    print(json.dumps({**seen, "best": result.top1, "wanted": int(output[0].argmax())}))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
