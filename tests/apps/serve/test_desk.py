"""The queue is bounded, clients take turns, who was cancelled is passed over, and the end is an end."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.apps.serve.desk import Desk, FullError


class Gate:
    """Be work that waits until it is let, and remembers what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.began, self.let = threading.Event(), threading.Event()

    def __call__(self, item: str) -> str:
        self.began.set()
        assert self.let.wait(60)
        self.done.append(item)
        return item.upper()


def held(depth: int) -> tuple[Desk[str, str], Gate]:
    """Return a desk whose thread is at work on a first item."""
    gate = Gate()
    desk: Desk[str, str] = Desk("d", gate, depth=depth)
    desk.ask("first", "first")
    assert gate.began.wait(60)
    return desk, gate


def finish(desk: Desk[str, str], gate: Gate, futures: list[Future[str]]) -> list[str]:
    gate.let.set()
    wait([future for future in futures if not future.cancelled()], timeout=60)
    assert desk.close(60)
    return gate.done[1:]


def test_clients_take_turns_whoever_came_with_more() -> None:
    desk, gate = held(10)
    futures = [desk.ask(item[0], item) for item in ("a1", "a2", "a3", "b1", "c1", "b2")]
    assert desk.waiting == 6
    assert finish(desk, gate, futures) == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert [future.result() for future in futures] == ["A1", "A2", "A3", "B1", "C1", "B2"]


def test_a_full_queue_sends_away_at_once_and_says_when_to_come_back() -> None:
    desk, gate = held(2)
    futures = [desk.ask("a", "a1"), desk.ask("b", "b1")]
    for client in ("a", "b", "c"):
        with pytest.raises(FullError, match="ask again in 1 s") as full:
            desk.ask(client, "more")
        assert full.value.wait_s >= 1
    assert finish(desk, gate, futures) == ["a1", "b1"]


def test_who_has_two_less_waiting_gets_the_last_place_of_whom_has_most() -> None:
    desk, gate = held(5)
    futures = [desk.ask("a", f"a{n}") for n in range(5)]
    futures += [desk.ask("b", "b0"), desk.ask("b", "b1")]
    for client in "ab":
        with pytest.raises(FullError):
            desk.ask(client, "more")
    for sent_away in futures[3:5]:
        with pytest.raises(FullError):
            sent_away.result(timeout=0)
    assert finish(desk, gate, futures[:3] + futures[5:]) == ["a0", "b0", "a1", "b1", "a2"]


def test_who_went_away_is_not_worked_for_and_leaves_a_place() -> None:
    desk, gate = held(2)
    gone, stays = desk.ask("a", "gone"), desk.ask("a", "stays")
    assert gone.cancel()
    late = desk.ask("b", "late")
    assert sorted(finish(desk, gate, [stays, late])) == ["late", "stays"]


def test_a_fault_goes_to_who_asked_and_the_next_is_served() -> None:
    def work(item: int) -> float:
        return 1 / item

    desk: Desk[int, float] = Desk("d", work, depth=4)
    bad, good = desk.ask("a", 0), desk.ask("a", 2)
    with pytest.raises(ZeroDivisionError):
        bad.result(timeout=60)
    assert good.result(timeout=60) == 0.5
    assert desk.close(60)


def test_the_end_sends_away_who_waits_and_finishes_what_it_has_in_hand() -> None:
    desk, gate = held(4)
    waiting = desk.ask("a", "never")
    assert desk.busy_s() > 0
    assert not desk.close(0.01)
    with pytest.raises(FullError):
        waiting.result(timeout=0)
    with pytest.raises(FullError):
        desk.ask("a", "late")
    gate.let.set()
    assert desk.close(60)
    assert gate.done == ["first"]
    assert desk.busy_s() == 0


@given(st.lists(st.sampled_from("abcd"), max_size=25), st.integers(1, 8))
def test_nobody_with_one_request_waits_for_more_than_one_of_each_other(clients: list[str], depth: int) -> None:
    """Everyone who was let in is answered, at most ``depth`` wait, and the order is by turns."""
    desk, gate = held(depth)
    futures: list[tuple[str, Future[str]]] = []
    for number, client in enumerate(clients):
        try:
            futures.append((client, desk.ask(client, f"{client}{number}")))
        except FullError:
            assert desk.waiting == depth
        assert desk.waiting <= depth
    done = finish(desk, gate, [future for _, future in futures])
    answered = [future for _, future in futures if future.exception() is None]
    assert len(answered) == len(done)
    # As long as two clients both wait, neither is answered twice in a row.
    for at in range(len(done) - 1):
        if done[at][0] == done[at + 1][0]:
            assert {item[0] for item in done[at + 1 :]} == {done[at][0]}
