"""Rewrite a model's modules into equal ones that a target runs well. Torch lives here; each rewrite is proven equal."""

from .fuse import fuse as fuse
from .normalisation import fold_normalisation as fold_normalisation
from .rewrite import rewrite as rewrite
