from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, socket
sys.path.insert(0, sys.argv[2])
def refuse(*args, **kwargs):
    raise AssertionError(f"the network was asked for: {args}")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import edgevit, small_nets
for precision in ("fp32", "int8"):
    edgevit.export(small_nets.model_def(), format="openvino", precision=precision, out=f"{sys.argv[1]}/{precision}")
loaded = [name for name in sys.modules if name.startswith("openvino_telemetry") and sys.modules[name] is not None]
assert not loaded, loaded
import nncf.telemetry.wrapper as wrapper
assert not isinstance(wrapper.telemetry, wrapper.NNCFTelemetry)
import huggingface_hub.constants
assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY
"""


def test_converting_and_quantising_tell_nobody(tmp_path: Path) -> None:
    support = Path(__file__).parents[1] / "support"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(support)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
