"""Tell where each operator of a bundle will run, and why not where it should. One format a file.

What was seen here and what a vendor's rules say is told apart in every row (``basis``). Nothing here needs torch, and
nothing is written into the bundle.
"""

from __future__ import annotations

from .place import place as place
from .place import place_files as place_files
from .rows import Op as Op
from .rows import Placement as Placement
from .rows import View as View
from .rows import summary as summary
