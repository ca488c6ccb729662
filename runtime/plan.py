"""Say how a run goes: which frames count, how old an answer may be, how many, and how long anybody may be stuck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgevit.errors import UsageError

Policy = Literal["newest", "every"]


@dataclass(frozen=True)
class Plan:
    """Hold the choices. ``policy`` None is ``newest`` if any source is live, else ``every``.

    ``max_latency_ms`` skips frames whose answer would be older than that, and where there are faster models lets these
    answer; ``limit`` ends after so many answers. ``batch`` frames of different sources at most are answered together,
    None as many as the bundle was made for. A sink that makes no progress for ``stall_s`` is
    given up; so is a stage under ``newest``, and under ``every``, where a slow engine is no fault, once the run ends.
    """

    policy: str | None = None
    max_latency_ms: float | None = None
    max_fps: float | None = None
    limit: int | None = None
    batch: int | None = None
    stall_s: float = 30.0

    def __post_init__(self) -> None:
        if self.policy is not None and self.policy not in get_args(Policy):
            raise UsageError(f"policy must be 'newest' or 'every', not {self.policy!r}.")
        for name in ("max_latency_ms", "max_fps", "stall_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} must be a number above 0, not {value!r}.")
        for name in ("limit", "batch"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise UsageError(f"{name} must be at least 1, not {count}.")

    def policy_for(self, *, live: bool) -> Policy:
        """Return the policy, chosen or by default."""
        chosen: Policy = ("newest" if live else "every") if self.policy is None else self.policy  # type: ignore[assignment]
        return chosen
