"""Read past what the trackers' trainer leaves beside the weights: its settings and its running averages.

The published files of HiT, and of the family of trackers that it comes from, hold objects of these classes. None of
them is wanted or even imported: where one stands, torch puts an ``Unread``, which takes no note of what it is given.
Only classes of these names are let by; a file that holds any other is still refused.
"""

from __future__ import annotations

from typing import Any

_NAMES = (
    "lib.train.admin.settings.Settings",
    "lib.train.admin.local.EnvironmentSettings",
    "lib.train.admin.stats.AverageMeter",
    "lib.train.admin.stats.StatValue",
)


class Unread:
    """Be nothing, in the place of an object that was not read."""

    def __setstate__(self, state: object) -> None:
        """Drop what the object held."""


def unread() -> list[Any]:
    """Return the classes to let by, as ``torch.serialization.safe_globals`` takes them: a class, and whose name."""
    return [(type("Unread", (Unread,), {}), name) for name in _NAMES]
