"""Places are shared out so that nobody keeps more than another lacks, in whatever order clients come, go and use."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edgevit.apps.web.shares import Shares

CLIENTS = "abcd"
steps = st.lists(
    st.tuples(st.sampled_from(["enter"] * 4 + ["leave", "use", "rest"]), st.sampled_from(CLIENTS), st.integers(0, 30)),
    max_size=60,
)


def held(shares: Shares[int], owners: dict[int, str]) -> Counter[str]:
    counts = Counter(owners.values())
    assert all(shares.count(client) == counts[client] for client in CLIENTS)
    assert len(shares) == len(owners) <= shares.most
    return counts


@given(steps, st.integers(1, 9))
def test_only_who_has_most_gives_and_only_to_who_has_two_less(steps: list[tuple[str, str, int]], most: int) -> None:
    shares, owners, resting = Shares[int](most), dict[int, str](), set[int]()
    for number, (what, client, which) in enumerate(steps):
        counts = held(shares, owners)
        item = sorted(owners)[which % len(owners)] if owners else -1
        if what == "leave":
            shares.leave(item)
            owners.pop(item, None)
        elif what in ("use", "rest"):
            shares.use(item) if what == "use" else shares.rest(item)
            resting = resting - {item} if what == "use" else resting | {item}
        elif shares.full_for(client):
            assert len(owners) == most
            assert max(counts.values()) <= counts[client] + 1
            assert not [one for one in resting if owners.get(one) == client]
        else:
            left = shares.enter(client, number)
            assert (left is None) == (len(owners) < most)
            if left is not None:
                owner = owners.pop(left)
                others_rest = [one for one in resting if owners.get(one) == owner]
                assert left in resting or not others_rest
                if owner == client:
                    assert left in resting
                else:
                    assert counts[owner] == max(counts.values()) >= counts[client] + 2
            owners[number] = client
    held(shares, owners)


@given(st.lists(st.sampled_from(CLIENTS), max_size=80), st.integers(len(CLIENTS), 13))
def test_each_of_n_clients_can_have_an_nth_and_keeps_it(order: list[str], most: int) -> None:
    shares, share = Shares[int](most), most // len(CLIENTS)
    owners: dict[int, str] = {}
    for number, client in enumerate(order):
        before = Counter(owners.values())
        if shares.full_for(client):
            assert before[client] >= share
            continue
        left = shares.enter(client, number)
        if left is not None:
            assert before[owners.pop(left)] > share
        owners[number] = client


def test_of_whom_has_most_what_rests_goes_first_and_then_what_was_not_used_for_longest() -> None:
    shares = Shares[str](4)
    for item in ("one", "two", "three", "four"):
        assert shares.enter("a", item) is None
    shares.use("one")
    shares.rest("four")
    assert [shares.enter("b", "five"), shares.enter("b", "six")] == ["four", "two"]
    assert shares.full_for("b")
    assert shares.enter("c", "seven") == "three"


def test_what_has_left_is_asked_nothing() -> None:
    shares = Shares[str](1)
    shares.enter("a", "one")
    shares.leave("one")
    for what in (shares.use, shares.rest, shares.leave):
        what("one")
    assert (len(shares), shares.count("a"), shares.full_for("a")) == (0, 0, False)
