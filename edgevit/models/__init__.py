"""Define models, once each. Torch and timm live here; everything below the wall reads bundles instead."""

from .create import create_model as create_model
from .create import describe as describe
from .definition import Graph as Graph
from .definition import ModelDef as ModelDef
