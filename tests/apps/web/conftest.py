"""Serve the mirror once for all tests of a module: with a token, and without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guarded import TOKEN, Served


@pytest.fixture(scope="module")
def shut() -> Iterator[Served]:
    """Serve with a token."""
    with Served(token=TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def free() -> Iterator[Served]:
    """Serve without one."""
    with Served(hosts=("board.local",)) as served:
        yield served
