"""Share a bounded number of places out between clients: who has few gets one of whom has most.

As long as places are free anybody may have any number. When all are taken, a client that has two less than another
gets one of the other's: the one that was not used for longest. So among ``n`` clients each can have ``most // n``, and
nobody who has no more than that ever loses one, whatever the others do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Shares(Generic[Item]):
    """Hold who has which places; used on one thread.

    What ``rests`` is of no use at the moment: of a client's places it is the first to go, for one of its own too.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._owners: dict[Item, str] = {}
        self._held: dict[str, OrderedDict[Item, None]] = {}
        self._resting: set[Item] = set()

    def __len__(self) -> int:
        return len(self._owners)

    def __iter__(self) -> Iterator[Item]:
        """Walk over what has a place at this moment."""
        return iter(tuple(self._owners))

    def count(self, client: str) -> int:
        """Return how many a client has."""
        return len(self._held.get(client, ()))

    def full_for(self, client: str) -> bool:
        """Tell whether all are taken, and nobody owes this client one."""
        return len(self) >= self.most and self._leaving(client) is None

    def enter(self, client: str, item: Item) -> Item | None:
        """Take a place, where it is not ``full_for`` the client; return what had to leave for it."""
        leaving = self._leaving(client) if len(self) >= self.most else None
        if leaving is not None:
            self.leave(leaving)
        self._owners[item] = client
        self._held.setdefault(client, OrderedDict())[item] = None
        return leaving

    def use(self, item: Item) -> None:
        """Make it the last of its client's to go."""
        if item in self._owners:
            self._resting.discard(item)
            self._held[self._owners[item]].move_to_end(item)

    def rest(self, item: Item) -> None:
        """Let it be among the first of its client's to go, behind those that rest already."""
        if item in self._owners:
            self.use(item)
            self._resting.add(item)

    def leave(self, item: Item) -> None:
        """Give its place back, if it has one."""
        if (client := self._owners.pop(item, None)) is not None:
            self._resting.discard(item)
            del self._held[client][item]
            if not self._held[client]:
                del self._held[client]

    def _leaving(self, client: str) -> Item | None:
        most = max(self._held, key=self.count, default=client)
        if self.count(most) >= self.count(client) + 2:
            return next(chain(self._resting_of(most), self._held[most]))
        return next(self._resting_of(client), None)

    def _resting_of(self, client: str) -> Iterator[Item]:
        return (item for item in self._held.get(client, ()) if item in self._resting)
