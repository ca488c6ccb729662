"""Keep other people's libraries from telling their makers what is done here: no telemetry, whatever their default.

OpenVINO's converter and NNCF report every use unless ``openvino_telemetry`` is absent; huggingface_hub tells which
library asks, and what agent runs it. Call ``forbid_telemetry`` before any of them is imported; huggingface_hub is
silenced later too, since timm and much else may have brought it in before edgevit came.
"""

from __future__ import annotations

import os
import sys

_SWITCHES = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")
_HUB = "huggingface_hub.constants"
_REPORTER = "openvino_telemetry"


def forbid_telemetry() -> None:
    """Set the switches that libraries have, and let the one without a switch appear to be absent."""
    for switch in _SWITCHES:
        os.environ.setdefault(switch, "1")
    hub = sys.modules.get(_HUB)
    if hub is not None and os.environ[_SWITCHES[0]] == "1":  # it read the switches when it was imported
        vars(hub)["HF_HUB_DISABLE_TELEMETRY"] = True
    if _REPORTER not in sys.modules:
        sys.modules[_REPORTER] = None  # type: ignore[assignment]  # importing it now fails, and a stub is taken
