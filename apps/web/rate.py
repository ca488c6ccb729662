"""Limit how often each client may ask: a bucket that refills, one a client, of a bounded number of clients."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from .address import ip_of

_MOST_CLIENTS = 4096


class Buckets:
    """Hold what each client may still spend. ``per_s`` flows in, up to ``burst``; used on one thread."""

    def __init__(
        self,
        per_s: float,
        burst: float,
        *,
        most_clients: int = _MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s, self._burst, self._most, self._clock = per_s, burst, most_clients, clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def wait_s(self, client: str, cost: float = 1.0) -> float:
        """Spend, and return 0; or spend nothing, and return after how long it would be enough."""
        left = self._left(client)
        if left >= cost:
            self._keep(client, left - cost)
            return 0.0
        self._keep(client, left)
        return (cost - left) / self._per_s

    def fine(self, client: str, cost: float) -> None:
        """Take so much, whether it is there or not, down to an empty bucket."""
        self._keep(client, max(0.0, self._left(client) - cost))

    def _left(self, client: str) -> float:
        now_s = self._clock()
        left, then_s = self._held.get(client, (self._burst, now_s))
        return min(self._burst, left + (now_s - then_s) * self._per_s)

    def _keep(self, client: str, left: float) -> None:
        self._held[client] = (left, self._clock())
        self._held.move_to_end(client)
        while len(self._held) > self._most:  # who was silent longest begins anew, with a full bucket
            self._held.popitem(last=False)


def client_of(host: str) -> str:
    """Return who is counted as one: an IPv4 address, or the 64 bits of an IPv6 one that a network gives out."""
    ip = ip_of(host.partition("%")[0])
    if ip is None or ip.version == 4:
        return host
    mapped = getattr(ip, "ipv4_mapped", None)
    return str(mapped) if mapped else ip.exploded[:19]
