"""Loop over a pipeline's answers from a coroutine: the run has a thread, and the event loop is woken, never blocked.

Whatever ends the loop, the run is stopped, and the coroutine waits until its threads are gone and its source is closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, suppress
from typing import Any

from .handover import Finished, Handover, Stopped
from .pipeline import Pipeline
from .stages import Job

Begun = AbstractContextManager[Pipeline]


async def awaited(begun: Begun) -> AsyncGenerator[Any, None]:
    """Enter ``begun`` on a thread, which may block, run its pipeline there, and yield the answers here."""
    run = _Run(begun)
    try:
        while True:
            try:
                job = run.take()
            except TimeoutError:
                await run.woken()
                continue
            except (Finished, Stopped):
                break
            yield job.value
    except BaseException:  # being left is one too
        run.stop()
        raise
    finally:
        await run.ended()
    if run.fault is not None:
        raise run.fault


class _Run:
    """Hold the thread of one run. All but ``_work`` is called on the loop's own thread."""

    def __init__(self, begun: Begun) -> None:
        self.fault: BaseException | None = None
        self._begun = begun
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()
        self._left = False
        self._pipeline: Pipeline | None = None
        self._answers: Handover[Job] | None = None
        self._thread = threading.Thread(target=self._work, name="edgevit awaited", daemon=True)
        self._thread.start()

    def take(self) -> Job:
        """Return an answer that is there; ``TimeoutError`` if none is, ``Finished`` if none will be."""
        self._wake.clear()  # before the look, so that what comes after it wakes
        try:
            if self._answers is not None:
                return self._answers.take(0)
        except TimeoutError:
            pass  # who was left behind at the end says no more that nothing will come
        if self._over.done():
            raise Finished
        raise TimeoutError

    async def woken(self) -> None:
        """Wait until it is worth to look again."""
        await self._wake.wait()

    def stop(self) -> None:
        """Take no more answers."""
        with self._lock:
            self._left = True
            if self._pipeline is not None:
                self._pipeline.stop()
            if self._answers is not None:
                self._answers.stop()

    async def ended(self) -> None:
        """Wait for the thread; being cancelled meanwhile changes nothing but what is raised in the end."""
        cancelled: asyncio.CancelledError | None = None
        while not self._over.done():
            try:
                await asyncio.shield(self._over)
            except asyncio.CancelledError as exc:
                cancelled = exc
        self._thread.join()  # it has nothing left to do but to end
        if cancelled is not None:
            raise cancelled

    def _work(self) -> None:
        try:
            with self._begun as pipeline:
                answers = pipeline.answers(told=self._tell)
                with self._lock:
                    if self._left:
                        return
                    self._pipeline, self._answers = pipeline, answers
                pipeline.run()
        except BaseException as exc:
            self.fault = exc
        finally:
            with suppress(RuntimeError):  # a loop that was closed has nobody who waits
                self._loop.call_soon_threadsafe(self._ended)

    def _tell(self) -> None:
        """Wake the loop. It was closed under us if it says so: then all is over."""
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            if self._pipeline is not None:
                self._pipeline.stop()
            raise Stopped from None

    def _ended(self) -> None:
        self._over.set_result(None)
        self._wake.set()
