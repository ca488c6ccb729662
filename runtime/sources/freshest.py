"""Read a live source on a thread of its own, so that a loop that takes its time gets the newest frame each time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from ..frame import Frame
from ..handover import Finished, Handover, Stopped
from .protocol import Source


class Freshest:
    """Yield the newest frame that nobody has had; those between are ``dropped``."""

    live = True

    def __init__(self, source: Source) -> None:
        self.total = source.total
        self.dropped = 0
        if hasattr(source, "hurry"):
            source.hurry = True
        self._source = source
        self._fault: BaseException | None = None
        self._frames: Handover[Frame] = Handover(1)

    @property
    def faults(self) -> Sequence[str]:
        """What the source passed over."""
        return self._source.faults

    def __iter__(self) -> Iterator[Frame]:
        threading.Thread(target=self._read, name="edgevit freshest", daemon=True).start()
        try:
            while True:
                yield self._frames.take()
        except (Finished, Stopped):
            if self._fault is not None:
                raise self._fault from None
        finally:
            self.close()

    def close(self) -> None:
        self._source.close()
        self._frames.stop()

    def _read(self) -> None:
        try:
            for frame in self._source:
                self.dropped += self._frames.give_newest(frame) is not None
        except Stopped:
            pass
        except BaseException as exc:
            self._fault = exc
        finally:
            self._frames.finish()


def freshest(source: Source) -> Source:
    """Return a source whose frames do not pile up: what is not live is one already."""
    return Freshest(source) if source.live else source
