"""Say how a run goes: which frames count, how old an answer may be, how many, and how long anybody may be stuck."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

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
        for name, such_as in (("max_latency_ms", 80), ("max_fps", 10), ("stall_s", 30)):
            value = getattr(self, name)
            if value is not None or name == "stall_s":
                above_zero(name, value, f"Plan({name}={such_as})")
        for name in ("limit", "batch"):
            count = getattr(self, name)
            if count is not None and not (_is(count, Integral) and count >= 1):
                raise UsageError(f"{name} must be a whole number from 1, not {count!r}. Type: Plan({name}=4)")

    def policy_for(self, *, live: bool) -> Policy:
        """Return the policy, chosen or by default."""
        chosen: Policy = ("newest" if live else "every") if self.policy is None else self.policy  # type: ignore[assignment]
        return chosen


def plan_of(plan: Plan | None, policy: str | None = None) -> Plan:
    """Return the plan that was meant; a ``policy`` beside it wins."""
    if plan is not None and not isinstance(plan, Plan):
        typed = f"plan=Plan({plan!r})" if plan in get_args(Policy) else "plan=Plan(limit=100)"
        raise UsageError(f"plan is {plan!r}; expected a Plan, of edgevit.runtime.plan. Type: {typed}")
    chosen = plan or Plan()
    return chosen if policy is None else replace(chosen, policy=policy)


def above_zero(name: str, value: Any, typed: str) -> None:
    """Raise unless it is a finite number above 0; ``typed`` is one that is."""
    if not (_is(value, Real) and 0 < value < float("inf")):
        raise UsageError(f"{name} must be a number above 0, not {value!r}. Type: {typed}")


def _is(value: object, kind: type) -> bool:
    """Tell whether it is such a number; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)
