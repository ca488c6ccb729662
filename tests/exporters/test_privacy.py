from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


HUB = """
import huggingface_hub.constants
import edgevit.models
print(huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY)
"""


@pytest.mark.parametrize(("switch", "silent"), [(None, "True"), ("0", "False")])
def test_the_hub_is_silenced_even_where_it_was_there_first(switch: str | None, silent: str) -> None:
    """Its telemetry asks huggingface.co for a list before the first download. Who switched it on keeps it."""
    ground = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key and key != "DO_NOT_TRACK"}
    environment = ground if switch is None else {**ground, "HF_HUB_DISABLE_TELEMETRY": switch}
    done = subprocess.run([sys.executable, "-c", HUB], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == silent, done.stderr[-2000:]
