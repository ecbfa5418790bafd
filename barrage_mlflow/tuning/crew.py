"""The processes of a search: each trains one trial at a time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from barrage_mlflow.errors import TuningError
from barrage_mlflow.tuning.study import Outcome
from barrage_mlflow.tuning.worker import Job, Task, work
from barrage_mlflow.workspace.layout import TRIALS

_TASKS = 20
"""Of a process: TensorFlow keeps some megabytes of each training."""
_PATIENCE = 120
"""Seconds that a process may take for its last checkpoint."""


@dataclass
class _Worker:
    process: Any
    line: Connection
    task: Task | None = None
    done: int = 0


class Crew(AbstractContextManager["Crew"]):
    """Some processes, each of which does many tasks; one that dies is replaced.

    Args:
        job: what they are to know.
        size: how many.

    Example:
        >>> with Crew(job, 2) as crew:  # doctest: +SKIP
        ...     crew.give(Task(0))
        ...     [*crew.ended(60)]
        [(Task(number=0, is_best=False), Outcome(state='COMPLETE', value=0.25, error=None))]
    """

    def __init__(self, job: Job, size: int) -> None:
        self._job = job
        self._workers = [self._start() for _ in range(size)]

    @property
    def is_free(self) -> bool:
        """Whether one has nothing to do."""
        return any(worker.task is None for worker in self._workers)

    @property
    def tasks(self) -> list[Task]:
        """What is being done."""
        return [worker.task for worker in self._workers if worker.task is not None]

    def give(self, task: Task) -> None:
        """Give a task to one that has none."""
        worker = next(worker for worker in self._workers if worker.task is None)
        with suppress(BrokenPipeError):  # it has died, which shows when it is waited for
            worker.line.send(task)
        worker.task = task

    def ended(self, seconds: float) -> Iterator[tuple[Task, Outcome | None]]:
        """Wait so long for tasks to end.

        Returns:
            Of each the outcome; None if its process was killed.

        Raises:
            TuningError: a process has ended by itself.
        """
        busy = [worker for worker in self._workers if worker.task is not None]
        ready = wait([worker.line for worker in busy], seconds)
        for worker in busy:
            if worker.line not in ready:
                continue
            task, worker.task = worker.task, None
            assert task is not None
            worker.done += 1
            outcome: Outcome | None = None
            try:
                outcome = worker.line.recv()
            except (EOFError, ConnectionResetError):
                worker.process.join()
                if worker.process.exitcode > 0:
                    raise TuningError(
                        "a process of the search ended by itself; why stands above, or in "
                        f"{self._job.folder / TRIALS}; a script calls tune() below "
                        '`if __name__ == "__main__":`, since the processes import it'
                    ) from None
            if outcome is None or worker.done == _TASKS:
                self._end(worker)
                self._workers[self._workers.index(worker)] = self._start()
            yield task, outcome

    def __exit__(self, *raised: object) -> None:
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()  # between two batches, with a checkpoint
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        with suppress(BrokenPipeError):
            worker.line.send(None)
        worker.process.join(_PATIENCE)
        worker.process.kill()
        worker.line.close()

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(self._job, theirs))
        process.start()
        theirs.close()
        return _Worker(process, ours)
