"""Turn output tensors into results, one task a file.

A task module has ``decode(output, manifest)``, the arithmetic on one row of the output, and
``result(decoded, frame, speed, manifest) -> Result``, which only puts the answer together.
"""

from edgevit.registry import Registry

TASKS = Registry("task", {"classify": "edgevit.runtime.tasks.classify"}, ask="edgevit list")
