"""Define models, once each. Torch and timm live here; everything below the wall reads bundles instead."""

from edgevit.privacy import forbid_telemetry

forbid_telemetry()  # before timm imports huggingface_hub, which reads its switches only once

from .create import create_model as create_model  # noqa: E402
from .create import describe as describe  # noqa: E402
from .definition import Graph as Graph  # noqa: E402
from .definition import ModelDef as ModelDef  # noqa: E402
