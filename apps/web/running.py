"""Run an application with uvicorn: in a thread beside a pipeline, or for as long as a verb lasts; end it in order.

The port is taken before the thread starts, so that a taken one is a sentence to the caller, and port 0 is known at
once. The server never touches signals: it is ended by ``stop``, or by whatever leaves the ``with`` block.
"""

from __future__ import annotations

import errno
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgevit.errors import EdgevitError, EnvironmentFault, missing

from . import protocols
from .address import Address, ip_of
from .shares import Shares

if TYPE_CHECKING:
    from starlette.types import ASGIApp

GRACE_S = 5
"""How long requests in flight may take when the server ends; then they are cut off."""
_MARGIN_S = 3.0
_DEAD_AFTER_MS = 30_000
_LARGEST_MESSAGE_BYTES = 64 << 10


class Listening:
    """Hold a taken port that nobody answers on yet."""

    def __init__(self, address: Address) -> None:
        self._socket = _bound(address)
        self.address = Address(address.host, int(self._socket.getsockname()[1]))

    def take(self) -> socket.socket:
        """Hand the socket over to a server."""
        return self._socket

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class Running:
    """Serve an application in a thread of its own until ``stop``.

    ``app`` is usually a ``Guard``; ``Listening(address).address`` tells the real port before it is made.
    """

    def __init__(self, app: ASGIApp, place: Listening | Address, *, grace_s: int = GRACE_S) -> None:
        uvicorn = check_packages()
        self._place = place if isinstance(place, Listening) else Listening(place)
        self.address = self._place.address
        self._grace_s = grace_s
        lines: Shares[Any] = Shares(protocols.MOST_LINES)
        config = uvicorn.Config(
            app,
            loop="asyncio",  # another one's lines cannot be told how much to read at once
            http=protocols.http_protocol(lines),
            ws=protocols.websocket_protocol(lines),
            ws_max_size=_LARGEST_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # pictures are compressed already
            lifespan="auto",
            log_config=None,  # logging is the process's own affair
            proxy_headers=False,  # else any client could say that it is another one
            server_header=False,
            timeout_graceful_shutdown=grace_s,
        )
        self._server = uvicorn.Server(config)
        self._fault: BaseException | None = None
        # Not ``Thread.join``: a signal whose handler raises there makes Python take a running thread for ended.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="edgevit web", daemon=True)

    @property
    def url(self) -> str:
        """What is typed into a browser on this machine."""
        return self.address.url

    @property
    def alive(self) -> bool:
        """Tell whether it still serves."""
        return self._thread.ident is not None and not self._ended.is_set()

    def start(self) -> Running:
        """Begin to answer."""
        self._thread.start()
        while not self._server.started and not self._ended.wait(0.01):
            pass
        if self._fault is not None:
            raise EdgevitError(f"The server at {self.address} did not start: {self._fault}.") from self._fault
        return self

    def wait(self) -> None:
        """Block until it ends; a signal's exception comes through, and leaving the ``with`` block ends the server."""
        while not self._ended.wait(0.5):
            pass

    def stop(self) -> bool:
        """Take nothing new, finish what is in flight within the grace, and end; tell whether that went in time."""
        self._server.should_exit = True
        if self._thread.ident is not None and self._ended.wait(self._grace_s + _MARGIN_S):
            self._thread.join()
        self._place.close()
        return not self.alive

    def __enter__(self) -> Running:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._place.take()])
        except BaseException as exc:  # uvicorn calls sys.exit where it cannot start
            self._fault = exc
        finally:
            self._ended.set()


def check_packages() -> Any:
    """Return uvicorn, or say what to type where the extra is absent."""
    try:
        import starlette as starlette
        import uvicorn
        import websockets as websockets
    except ImportError as exc:
        raise missing(exc.name or "uvicorn", "Serving over HTTP", "serve") from exc
    return uvicorn


def _bound(address: Address) -> socket.socket:
    """Take the port, or say in a sentence why not."""
    try:
        return _listening(*_family(address.host), address)
    except socket.gaierror as exc:
        raise EnvironmentFault(f"There is no host '{address.host}' to listen on: {exc.strerror}.") from exc
    except OSError as exc:
        reason = _REASONS.get(exc.errno or 0, _OTHER)
        raise EnvironmentFault(reason.format(address, exc.strerror or exc)) from exc


def _listening(family: socket.AddressFamily, host: str, address: Address) -> socket.socket:
    # The protocol is named because asyncio sends small answers at once (TCP_NODELAY) on such sockets only; on others
    # every answer waits 40 ms for the other side's acknowledgement of its head.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Who is gone would keep its line, and what is owed to it, for ever. Accepted sockets inherit this.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
        if family == socket.AF_INET6:
            both = address.everywhere and socket.has_dualstack_ipv6()
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        made.bind((host, address.port))
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def _family(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the address of a host; one that is typed as an address is asked of nobody."""
    if (ip := ip_of(host)) is not None and "%" not in host:
        return (socket.AF_INET if ip.version == 4 else socket.AF_INET6), host
    family, *_, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return family, str(place[0])


_REASONS = {
    errno.EADDRINUSE: "{0} is taken by another program. Type another port, or 0 for a free one.",
    errno.EACCES: "{0} may not be opened: ports below 1024 are the administrator's. Type a higher one.",
    errno.EADDRNOTAVAIL: "{0} is no address of this machine. Type 0.0.0.0:PORT for all that it has.",
}
_OTHER = "{0} cannot be opened: {1}."
