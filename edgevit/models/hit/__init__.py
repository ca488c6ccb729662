"""Define HiT, the tracker that looks at the target's picture and the search picture together.

Source: Kang et al., Exploring Lightweight Hierarchical Vision Transformers for Efficient Visual Tracking (ICCV 2023,
arXiv:2308.06904). ``hit_tiny``, ``hit_small`` and ``hit_base`` are the published nets; ``hit_nano`` is the same design,
small, with the additions of ``nano.py``.
"""

from .net import HiT as HiT
from .plan import blueprint as blueprint
from .plan import build as build
from .sizes import SIZES as SIZES
from .sizes import HitSize as HitSize
