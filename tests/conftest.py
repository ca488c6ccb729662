"""Give every test the same ground: no network, a cache of its own, and property tests that no busy machine can fail."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("anywhere", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "anywhere")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background deaf to Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

_NEAR = ("", "localhost", "0.0.0.0", "::", "::1", "ip6-localhost")
_calls: list[str] = []


class OtherMachineError(OSError):
    """Somebody wanted to reach another machine."""


def _is_near(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return name is None or (isinstance(name, str) and (name in _NEAR or name.startswith("127.")))


def _refuse(host: object) -> None:
    _calls.append(str(host))
    raise OtherMachineError(f"Tests reach no other machine; this one asked for {host}.")


@pytest.fixture(scope="session", autouse=True)
def _ground(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    """Shut the way to other machines, and keep the user's cache out of it."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_near(address[0]):
            _refuse(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_near(host):
            _refuse(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        patch.setenv("EDGEVIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test whose code asked for another machine, even if that code then swallowed the error."""
    _calls.clear()
    outcome = yield
    if _calls:
        pytest.fail(f"the code under test asked for {', '.join(_calls)}; tests use a stand-in on 127.0.0.1")
    return outcome
