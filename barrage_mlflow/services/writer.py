"""Writes files while training goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_WAITING = 2
"""Writes that wait at most: what they write is kept in memory."""


class BackgroundWriter:
    """Does writes one after the other on a thread of its own, in the order they were given.

    What a write raises comes out of a later call.

    Example:
        >>> written = []
        >>> writer = BackgroundWriter()
        >>> writer.submit(lambda: written.append("best"))
        >>> writer.submit(lambda: written.append("resume"))
        >>> writer.flush()
        >>> written
        ['best', 'resume']
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[object]] = deque()

    def submit(self, write: Callable[[], object]) -> None:
        """Hand over a write; waits only where two are before it.

        Raises:
            Exception: whatever an earlier write raised; this one is then not done.
        """
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= _WAITING):
            self._waiting.popleft().result()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._waiting.append(self._pool.submit(write))

    def flush(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: whatever a write raised.
        """
        while self._waiting:
            self._waiting.popleft().result()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
