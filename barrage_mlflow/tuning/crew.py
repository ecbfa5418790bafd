"""The processes of a search: each trains one trial at a time."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from barrage_mlflow.errors import TuningError
from barrage_mlflow.tuning.worker import Ending, Job, Task, work
from barrage_mlflow.workspace.layout import TRIALS

_PATIENCE = 120
"""Seconds that a process may take for its last checkpoint."""


@dataclass
class _Worker:
    process: Any
    line: Connection
    task: Task | None = None


class Crew(AbstractContextManager["Crew"]):
    """Some processes, each of which does many tasks; one that is killed is replaced.

    Args:
        job: what they are to know.
        size: how many.
        report: called with number, epoch and metric after each epoch of a trial; returns whether
            the trial ends there.

    Example:
        >>> with Crew(job, 2, lambda *report: False) as crew:  # doctest: +SKIP
        ...     crew.give(Task(0, {}))
        ...     [*crew.ended(60)]
        [(Task(number=0, values={}, is_best=False), Ending(value=0.25, error=None, is_over=True))]
    """

    def __init__(self, job: Job, size: int, report: Callable[[int, int, float], bool]) -> None:
        self._job, self._report = job, report
        self._workers = [self._start() for _ in range(size)]

    @property
    def busy(self) -> int:
        """How many have something to do."""
        return sum(worker.task is not None for worker in self._workers)

    def give(self, task: Task) -> None:
        """Give a task to one that has none."""
        worker = next(worker for worker in self._workers if worker.task is None)
        with suppress(ConnectionError):  # it has died, which shows when it is waited for
            worker.line.send(task)
        worker.task = task

    def ended(self, seconds: float) -> Iterator[tuple[Task, Ending | None]]:
        """Answer reports for so long, or until tasks have ended.

        Returns:
            Of each the ending; None if its process was killed, or stopped.

        Raises:
            TuningError: a process has ended by itself.
        """
        until, are_ended = time.monotonic() + seconds, False
        while not are_ended and (left := until - time.monotonic()) > 0:
            busy = {worker.line: worker for worker in self._workers if worker.task}
            for line in wait(busy, left):
                worker = busy[line]  # type: ignore[index]
                task, message = worker.task, self._receive(worker)
                assert task is not None
                if isinstance(message, tuple):
                    with suppress(ConnectionError):
                        worker.line.send(self._report(task.number, *message))
                    continue
                are_ended, worker.task = True, None
                if message is None:
                    self._end(worker)
                    self._workers[self._workers.index(worker)] = self._start()
                yield task, message

    def __exit__(self, *raised: object) -> None:
        for worker in self._workers:
            with suppress(ConnectionError):
                worker.line.send(None)
            if worker.task is not None:
                worker.process.terminate()  # between two batches, with a checkpoint
        for worker in self._workers:
            self._end(worker)

    def _receive(self, worker: _Worker) -> Any:
        """What a process has to say; None if it was killed."""
        try:
            return worker.line.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join()
            if worker.process.exitcode > 0:
                raise TuningError(
                    "a process of the search ended by itself; why stands above, or in "
                    f"{self._job.folder / TRIALS}; a script calls tune() below "
                    '`if __name__ == "__main__":`, since the processes import it'
                ) from None
            return None

    def _end(self, worker: _Worker) -> None:
        worker.process.join(_PATIENCE)
        worker.process.kill()
        worker.process.join()
        worker.line.close()

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,))
        resource_tracker.ensure_running()  # which would take the mask away
        # Ctrl-C goes to the whole group of a terminal; the search ends its processes itself.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        # As an argument, a large one would be waited for though the process died while it began.
        with suppress(ConnectionError):  # which shows when it is waited for
            ours.send(self._job)
        return _Worker(process, ours)
