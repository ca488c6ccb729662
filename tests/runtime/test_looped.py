"""A film that plays over and over as a camera does: its order, its numbers, its times, its end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paced import PIXELS

from edgevit.errors import InputError
from edgevit.runtime.frame import Frame
from edgevit.runtime.sources.looped import Looped


class Film:
    """Hold frames at times of its own, in nanoseconds from 0."""

    live, name, faults = False, "film", ("one was torn",)

    def __init__(self, *times_ns: int, reading_s: float = 0.0) -> None:
        self.total: int | None = len(times_ns)
        self.closed = False
        self.read_ns: list[int] = []
        self._times_ns, self._reading_s = times_ns, reading_s

    def __iter__(self) -> Iterator[Frame]:
        for index, at_ns in enumerate(self._times_ns):
            time.sleep(self._reading_s)
            self.read_ns.append(time.monotonic_ns())
            yield Frame(PIXELS, "rgb", at_ns, index, f"film#{index}")

    def close(self) -> None:
        self.closed = True


@given(st.lists(st.integers(0, 2_000_000), min_size=1, max_size=5), st.integers(1, 12))
@settings(max_examples=20)
def test_it_goes_on_with_the_first_frame_and_counts_on(gaps_ns: list[int], wanted: int) -> None:
    film = Looped(Film(*itertools.accumulate(gaps_ns)))
    frames = list(itertools.islice(film, wanted))
    film.close()
    assert [frame.source for frame in frames] == [f"film#{n % len(gaps_ns)}" for n in range(wanted)]
    assert [frame.index for frame in frames] == list(range(wanted))
    times = [frame.captured_ns for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] <= time.monotonic_ns()


def test_frames_come_no_faster_than_the_film_says_and_carry_the_time_that_it_was() -> None:
    film = Looped(Film(0, 20_000_000, 40_000_000))
    began_ns = time.monotonic_ns()
    frames = list(itertools.islice(film, 5))
    assert all(later.captured_ns - one.captured_ns >= 20_000_000 for one, later in itertools.pairwise(frames))
    assert frames[0].captured_ns >= began_ns


def test_a_film_that_is_read_slowly_plays_slower_and_its_frames_are_dated_by_when_they_were_there() -> None:
    film = Film(0, 1_000_000, 2_000_000, reading_s=0.01)
    frames = list(itertools.islice(Looped(film), 8))
    assert all(frame.captured_ns >= read_ns for frame, read_ns in zip(frames, film.read_ns, strict=True))


def test_once_ends_with_the_film_and_knows_its_length() -> None:
    film = Looped(Film(0, 1, 2), once=True)
    assert film.total == 3
    assert [frame.index for frame in film] == [0, 1, 2]
    assert Looped(Film(0)).total is None


def test_it_says_what_the_film_says_and_closes_it() -> None:
    inner = Film(0)
    film = Looped(inner)
    assert (film.live, film.name, tuple(film.faults)) == (True, "film", ("one was torn",))
    film.close()
    assert inner.closed
    assert list(film) == []


def test_one_without_frames_ends() -> None:
    assert list(Looped(Film())) == []


def test_it_can_be_closed_while_it_waits() -> None:
    film = Looped(Film(0, 3_600_000_000_000))
    frames = iter(film)
    next(frames)
    closing = threading.Timer(0.05, film.close)
    closing.start()
    with pytest.raises(StopIteration):
        next(frames)
    closing.join()


def test_a_fault_of_the_film_comes_through() -> None:
    class Torn(Film):
        def __iter__(self) -> Iterator[Frame]:
            yield Frame(np.zeros((4, 4, 3), np.uint8), "rgb", 0)
            raise InputError("The film is torn.")

    with pytest.raises(InputError, match="torn"):
        list(itertools.islice(Looped(Torn(0)), 3))
