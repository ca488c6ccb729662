"""Prove models x formats x precisions, each cell in a process that may crash, hang or eat all memory by itself.

Every cell is a real export with its gates. The parent (run.py) needs no torch: it starts a process a model (worker.py),
which makes the model once and forks a child for each format (child.py), so no cell can take another one along.
"""

from __future__ import annotations
