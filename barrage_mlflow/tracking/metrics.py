"""Sends metrics to MLflow from a thread of its own, losing and doubling none."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.names import batches

logger = logging.getLogger(__name__)

METRICS_PER_REQUEST = 1_000
_GATHERING = 1.0
"""Seconds between two requests while nobody waits: each takes a core from the training."""
_PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to send; the last one for all further."""

_REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
}
"""MLflow's error codes that waiting does not mend."""


class Point(NamedTuple):
    """One value of one metric.

    Attributes:
        key: name of the metric.
        value: its value; may be NaN or infinite.
        timestamp: milliseconds since 1970, when the value was made.
        step: the epoch.
    """

    key: str
    value: float
    timestamp: int
    step: int


class MetricQueue:
    """Points that wait to be sent, and the thread that sends them.

    The first point goes at once; what comes within a second after it, in one request then.

    A point leaves the queue when its request has succeeded, not before. Where a request failed
    although the server had written it, the repeat is dropped by MLflow, because a point keeps
    the timestamp of when it was made.

    Args:
        send: sends at most 1,000 points in one request; raises where that fails.

    Example:
        >>> sent = []
        >>> queue = MetricQueue(sent.extend)
        >>> queue.put([Point("loss", 0.5, 1_700_000_000_000, 1)])
        >>> queue.close(timeout=10)
        >>> sent
        [Point(key='loss', value=0.5, timestamp=1700000000000, step=1)]
    """

    def __init__(self, send: Callable[[Sequence[Point]], None]) -> None:
        self._send = send
        self._points: deque[Point] = deque()
        self._changed = threading.Condition()
        self._made = 0
        self._sent = 0
        self._failures = 0
        self._error: Exception | None = None
        self._hurry = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def put(self, points: Sequence[Point]) -> None:
        """Add points; returns at once."""
        with self._changed:
            self._points.extend(points)
            self._made += len(points)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout: float, patient: bool = True) -> None:
        """Wait until every point that was added before has been sent.

        Args:
            timeout: seconds to wait at most.
            patient: each request that succeeds begins them anew.

        Raises:
            TrackingError: they were not sent in time, or MLflow refuses them. They stay in the
                queue.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            goal, failures = self._made, self._failures
            self._hurry = self._sent < goal
            self._changed.notify_all()
            sent = self._sent
            while self._sent < goal:
                if patient and self._sent > sent:
                    sent, deadline = self._sent, time.monotonic() + timeout
                refused = self._failures > failures and _is_refusal(self._error)
                left = deadline - time.monotonic()
                if refused or left <= 0:
                    reason = self._error or f"nothing was sent within {timeout:g} s"
                    raise TrackingError(
                        f"{goal - self._sent} metric values were not logged: {reason}",
                        getattr(self._error, "error_code", ""),
                    ) from self._error
                self._changed.wait(left)

    def close(self, timeout: float, patient: bool = True) -> None:
        """Flush, then end the thread.

        Args:
            timeout: seconds to wait at most.
            patient: as for :meth:`flush`.

        Raises:
            TrackingError: as by :meth:`flush`; the thread ends all the same.
        """
        try:
            self.flush(timeout, patient)
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._send(batch)
            except Exception as error:
                self._note_failure(error)
            else:
                self._note_success(len(batch))

    def _next_batch(self) -> list[Point]:
        """Wait for points; none means that the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._points or self._closed)
            if self._closed:
                return []
            waiting = list(itertools.islice(self._points, METRICS_PER_REQUEST))
        return next(batches(waiting, METRICS_PER_REQUEST, lambda point: point.key))

    def _note_success(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._points.popleft()
            self._sent += count
            if self._failures:
                logger.warning("MLflow answers again: metrics are sent")
            self._failures, self._error = 0, None
            self._hurry = self._hurry and bool(self._points)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._hurry or self._closed or len(self._points) >= METRICS_PER_REQUEST,
                _GATHERING,
            )

    def _note_failure(self, error: Exception) -> None:
        with self._changed:
            pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            if not self._failures:
                logger.warning("%s\nmeanwhile metrics are kept, and sent when it does", error)
            self._failures += 1
            self._error = error
            self._hurry = False
            self._changed.notify_all()
            # A flush asks for one attempt at once; whoever only adds points does not.
            self._changed.wait_for(lambda: self._hurry or self._closed, pause)


def _is_refusal(error: Exception | None) -> bool:
    return getattr(error, "error_code", None) in _REFUSALS
