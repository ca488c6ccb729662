"""Turn output tensors into results, one task a file.

A task module has ``OPERATIONS``, which says what arithmetic it knows by which names; ``SESSION`` below names what runs
its bundles. ``classify`` also has ``decode(output, manifest)``, the arithmetic on one row of the output, and
``result(decoded, frame, speed, manifest) -> Result``, which only puts the answer together.
"""

from collections.abc import Mapping, Sequence

from edgevit.errors import UnsupportedError
from edgevit.manifest import Manifest
from edgevit.registry import Registry

TASKS = Registry(
    "task",
    {"classify": "edgevit.runtime.tasks.classify", "track": "edgevit.runtime.tasks.track"},
    ask="edgevit list",
)


def check_operations(known: Mapping[str, Sequence[str]], manifest: Manifest) -> None:
    """Raise if the bundle names arithmetic that this runtime does not know: its answers would be wrong."""
    for step, operation in manifest.operations.items():
        if operation not in known.get(step, ()):
            expected = ", ".join(f"{name}: {' or '.join(operations)}" for name, operations in known.items())
            raise UnsupportedError(
                f"The bundle asks for '{step}: {operation}', which this edgevit does not know; it knows {expected}. "
                "Type: pip install --upgrade edgevit"
            )
