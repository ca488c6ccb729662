"""Hold the hand-over to its contract: bounded, in order, fair, nothing lost that is not told, nobody left waiting."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.runtime.handover import Finished, Handover, Stopped

SOON = 0.01
LONG = 20.0


@given(st.lists(st.one_of(st.none(), st.integers(0, 2))), st.integers(1, 3))
def test_newest_loses_only_what_it_returns_and_keeps_the_order(moves: list[int | None], depth: int) -> None:
    """A number gives to that lane; None takes."""
    held: Handover[tuple[int, int]] = Handover(depth, lanes=3)
    taken: list[tuple[int, int]] = []
    dropped: list[tuple[int, int]] = []
    for number, lane in enumerate(moves):
        if lane is not None:
            if (lost := held.give_newest((lane, number), lane)) is not None:
                assert lost[0] == lane
                dropped.append(lost)
        elif len(held):
            taken.append(held.take(0))
        assert len(held) <= 3 * depth
    while len(held):
        taken.append(held.take(0))
    given_ = [(lane, number) for number, lane in enumerate(moves) if lane is not None]
    assert sorted(taken + dropped) == sorted(given_)
    for lane in range(3):
        mine = [number for of, number in taken if of == lane]
        assert mine == sorted(mine)
        gave = [number for of, number in given_ if of == lane]
        assert not gave or (lane, gave[-1]) in taken, "the newest is never the one that is dropped"


@given(st.lists(st.integers(0, 6), min_size=3, max_size=3))
def test_lanes_are_taken_from_in_turn(counts: list[int]) -> None:
    held: Handover[int] = Handover(6, lanes=3)
    for lane, count in enumerate(counts):
        for _ in range(count):
            held.give(lane, lane)
    taken = [held.take(0) for _ in range(sum(counts))]
    for place in range(len(taken)):
        so_far = [taken[: place + 1].count(lane) for lane in range(3)]
        waiting = [lane for lane in range(3) if so_far[lane] < counts[lane]]
        assert all(max(so_far) - so_far[lane] <= 1 for lane in waiting), "who waits is at most one behind"


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("givers", [1, 3])
def test_threads_hand_over_everything_in_order(depth: int, givers: int) -> None:
    held: Handover[tuple[int, int]] = Handover(depth, lanes=givers)

    def give(lane: int) -> None:
        for number in range(300):
            held.give((lane, number), lane)
        held.finish(lane)

    threads = [threading.Thread(target=give, args=(lane,), daemon=True) for lane in range(givers)]
    for thread in threads:
        thread.start()
    taken = [held.take(LONG) for _ in range(300 * givers)]
    with pytest.raises(Finished):
        held.take(LONG)
    for lane in range(givers):
        assert [number for of, number in taken if of == lane] == list(range(300))


def test_who_waits_for_room_waits_until_there_is_some() -> None:
    held: Handover[int] = Handover(1)
    held.give(1)
    done = threading.Event()

    def give() -> None:
        held.give(2)
        done.set()

    threading.Thread(target=give, daemon=True).start()
    assert not done.wait(SOON)
    assert held.take(LONG) == 1
    assert done.wait(LONG)
    assert held.take(LONG) == 2


def test_nothing_in_time_is_told_and_finished_comes_after_the_last() -> None:
    held: Handover[int] = Handover(2)
    with pytest.raises(TimeoutError):
        held.take(SOON)
    held.give(1)
    held.finish()
    assert held.take(LONG) == 1
    with pytest.raises(Finished):
        held.take(LONG)


@pytest.mark.parametrize("full", [True, False])
def test_stop_wakes_whoever_waits(full: bool) -> None:
    held: Handover[int] = Handover(1)
    if full:
        held.give(1)
    woken = threading.Event()

    def wait() -> None:
        try:
            held.give(2) if full else held.take()
        except Stopped:
            woken.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not woken.wait(SOON)
    held.stop()
    assert woken.wait(LONG)
    with pytest.raises(Stopped):
        held.give(1)
    with pytest.raises(Stopped):
        held.give_newest(1)
    with pytest.raises(Stopped):
        held.take(LONG)
