"""Turns at a stage: every parcel is done once, in order, one at a time, and nobody waits for ever."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.runtime.handover import Finished, Stopped
from edgevit.runtime.turns import Parcel, Turn

pytestmark = pytest.mark.timeout(60)


class Road:
    """Have workers carry numbered parcels through stages, as a line does, and write down what each stage saw."""

    def __init__(self, stages: int, count: int, waits_s: list[float]) -> None:
        self.turns = [Turn() for _ in range(stages)]
        self.seen: list[list[int]] = [[] for _ in range(stages)]
        self.inside = [0] * stages
        self.workers: list[set[str]] = [set() for _ in range(stages)]
        self._numbers = iter(range(count))
        self._lock = threading.Lock()
        self._waits_s = itertools.cycle(waits_s)

    def work(self) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            parcel = Parcel(number)
            for stage, turn in enumerate(self.turns):
                done = turn.enter(parcel)
                if done is not None:
                    parcel = done
                    continue
                waited: Parcel | None = parcel
                while waited is not None:
                    parcel = waited
                    self._do(stage, parcel)
                    waited = turn.leave(parcel)

    def _do(self, stage: int, parcel: Parcel) -> None:
        self.inside[stage] += 1
        assert self.inside[stage] == 1
        self.workers[stage].add(threading.current_thread().name)
        self.seen[stage].append(parcel.number)
        time.sleep(next(self._waits_s))
        self.inside[stage] -= 1


def together(works: list[Callable[[], object]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    return threads


def outcome_of(work: Callable[[], object], kept: list[object]) -> Callable[[], None]:
    def kept_work() -> None:
        try:
            kept.append(work())
        except (Stopped, Finished) as exc:
            kept.append(type(exc))

    return kept_work


@given(
    stages=st.integers(1, 4),
    workers=st.integers(1, 5),
    count=st.integers(0, 25),
    waits_s=st.lists(st.sampled_from([0.0, 0.0002, 0.001]), min_size=1, max_size=7),
)
@settings(max_examples=40, deadline=None)
def test_every_stage_sees_every_parcel_once_and_in_order(
    stages: int, workers: int, count: int, waits_s: list[float]
) -> None:
    road = Road(stages, count, waits_s)
    for thread in together([road.work] * workers):
        thread.join(20)
        assert not thread.is_alive()
    assert road.seen == [list(range(count))] * stages


def test_who_leaves_takes_what_waits_and_hands_over_what_is_done() -> None:
    turn, kept = Turn(), list[object]()
    first, second = Parcel(0), Parcel(1)
    assert turn.enter(first) is None
    (waiter,) = together([outcome_of(lambda: turn.enter(second), kept)])
    while not turn._gates:
        time.sleep(0.001)
    assert turn.leave(first) is second
    waiter.join(20)
    assert kept == [first], "the waiter goes on with what was done"
    assert turn.leave(second) is None
    assert turn.enter(Parcel(2)) is None


@pytest.mark.parametrize(("end", "raised"), [(Turn.stop, Stopped), (Turn.finish, Finished)])
def test_an_end_wakes_who_waits_and_turns_away_who_comes(end: Callable[[Turn], None], raised: type) -> None:
    turn, kept = Turn(), list[object]()
    assert turn.enter(Parcel(0)) is None
    waiters = together([outcome_of(lambda n=n: turn.enter(Parcel(n)), kept) for n in (1, 2, 5)])  # type: ignore[misc]
    while len(turn._gates) < 3:
        time.sleep(0.001)
    end(turn)
    for waiter in waiters:
        waiter.join(20)
    assert kept == [raised] * 3
    with pytest.raises(raised):
        turn.enter(Parcel(1))
    assert turn.leave(Parcel(0)) is None, "who was inside goes on by himself"
