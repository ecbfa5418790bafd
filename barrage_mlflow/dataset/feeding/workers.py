"""Worker processes: an ordered, bounded map of a job over tasks.

They are fresh Python processes, never forks: a process that holds TensorFlow's threads cannot
be forked safely. What comes out depends neither on how many there are nor on which is faster.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeAlias

from barrage_mlflow.dataset.feeding.wire import Message, pack, receive, send, unpack
from barrage_mlflow.errors import ComponentError, describe_error

_SCRIPT = """\
import sys
sys.path[:] = sys.argv[2:]
from barrage_mlflow.dataset.feeding.worker_main import main
main(int(sys.argv[1]))
"""
# The processes share out the cores among themselves; a GPU is for the training alone.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
}
# A queue of this kind has no moment in which Ctrl-C can leave it locked.
_Answer: TypeAlias = "SimpleQueue[Message | BaseException]"
_PATIENCE = 5.0
"""Seconds within which a process that nobody needs any more ends, before it is killed."""


class Workers(contextlib.AbstractContextManager["Workers"]):
    """Processes that each have a copy of a job and work on tasks for it, in parallel.

    They import what this process can import, and what the job needs alone.

    Args:
        count: how many processes, at least 1.
        job: called as ``job(task)`` in a process; it, the tasks and the results are pickled. It is
            sent to each process once.

    Raises:
        ComponentError: the job cannot be pickled, or no process can be started.

    Example:
        >>> import operator
        >>> with Workers(2, operator.itemgetter("x")) as workers:
        ...     list(workers.map({"x": i} for i in range(5)))
        [0, 1, 2, 3, 4]
    """

    def __init__(self, count: int, job: Callable[[Any], Any]) -> None:
        try:
            self._packed: Message | None = pack(job)
        except Exception as error:
            raise ComponentError(
                f"a component cannot be sent to worker processes: {describe_error(error)}; have "
                "it hold only what pickle takes (no lambda, no open file, no class of a "
                "function's inside), or set dataset.workers to 0"
            ) from error
        self._job = job
        self._workers: list[_Worker] = []
        try:
            for number in range(1, count + 1):
                self._workers.append(_Worker(f"worker process {number} of {count}"))
        except OSError as error:
            self.close()
            raise ComponentError(
                f"worker process {number} of {count} cannot be started: {error}; set "
                "dataset.workers lower"
            ) from error

    def map(self, tasks: Iterable[Any], name: Callable[[Any], str] = str) -> Iterator[Any]:
        """The job's results on the tasks, in the order of the tasks.

        It may be left before its end; only a process that died ends them all. One map at a time.

        Args:
            tasks: what is done; read as far as it is worked on, two tasks ahead a process.
            name: what messages call a task.

        Raises:
            ComponentError: a process died, or cannot unpickle the job; or ``close`` was called.
            Exception: whatever the job or the tasks raise, in the place of the result.
        """
        self._send_job()
        waiting: deque[tuple[Any, _Answer]] = deque()
        for task in tasks:
            worker = min(self._workers, key=lambda each: len(each.pending))
            waiting.append((task, worker.submit(name(task), pack(task))))
            if len(waiting) > 2 * len(self._workers):
                yield self._result(*waiting.popleft(), name)
        while waiting:
            yield self._result(*waiting.popleft(), name)

    def _send_job(self) -> None:
        """Send every process the job, before the first map."""
        if not self._workers:
            raise ComponentError("the worker processes are closed")
        if self._packed is None:
            return
        answers = [worker.submit("its start", self._packed) for worker in self._workers]
        self._packed = None
        for answer in answers:
            _, failure = self._wait(answer)
            if failure is not None:
                self.close()
                raise ComponentError(
                    f"the worker processes cannot load a component: {failure[0]}; they import "
                    "it from its module, so it cannot be in the script that is run, or in a "
                    "notebook: move it to a module of the project, or set dataset.workers to 0"
                )

    def _result(self, task: Any, answer: _Answer, name: Callable[[Any], str]) -> Any:
        """What came of a task.

        What it raised there it raises here again, of its own type and with all that is in it,
        which an exception seldom brings from one process to another.
        """
        result, failure = self._wait(answer)
        if failure is not None:
            self._job(task)
            text, trace = failure
            raise ComponentError(
                f"a worker process failed at {name(task)}, though the main process did not: "
                f"{text}\n\n{trace}"
            )
        return result

    def _wait(self, answer: _Answer) -> Any:
        """The pair that a process answers with."""
        message = answer.get()
        if isinstance(message, BaseException):
            self.close()
            raise message
        return unpack(message)

    def close(self) -> None:
        """End the processes; what they work on is lost."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.join()

    def __exit__(self, *raised: object) -> None:
        self.close()


class _Worker:
    """One process: its socket, and the thread that takes in what it answers.

    Attributes:
        pending: what it was sent and has not answered, oldest first.
    """

    def __init__(self, title: str) -> None:
        self.pending: deque[tuple[str, _Answer]] = deque()
        self._title = title
        self._failure: BaseException | None = None
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _start(theirs)
        except OSError:
            self._socket.close()
            raise
        # Results are taken in while the caller is elsewhere, or the process would have to wait
        # with one before it begins the next.
        self._thread = threading.Thread(target=self._take_in, daemon=True)
        self._thread.start()

    def submit(self, task: str, message: Message) -> _Answer:
        """Send a task, and return where its answer will be: a message, or why none came."""
        answer: _Answer = SimpleQueue()
        self.pending.append((task, answer))
        try:
            send(self._socket, message)
        except OSError:
            pass  # it is gone; the thread finds that too, and why
        except BaseException:  # Ctrl-C: half a message is sent, and no other can follow it
            self.hang_up()
            raise
        if self._failure is not None:  # the thread may have ended before the task was there
            answer.put(self._failure)
        return answer

    def _take_in(self) -> None:
        try:
            while True:
                message = receive(self._socket)
                _, answer = self.pending.popleft()
                answer.put(message)
        except (EOFError, OSError):
            self._failure = self._death()
        except BaseException as error:  # such as a MemoryError: nobody must wait for ever
            self._failure = error
        while self.pending:
            _, answer = self.pending.popleft()
            answer.put(self._failure)

    def _death(self) -> ComponentError:
        """How the process ended, doing what, and what to do."""
        status = self._end()
        doing = f"it worked on {self.pending[0][0]}" if self.pending else "it waited for work"
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        remedy = (
            "a component, or a library that it uses, ended it: set dataset.workers to 0 to see it "
            "happen in the main process"
        )
        if status == -signal.SIGKILL:
            remedy = (
                "most often that is for want of memory: set dataset.workers or solver.batch_size "
                "lower"
            )
        return ComponentError(f"{self._title} ended with {how} while {doing}; {remedy}")

    def _end(self) -> int:
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def hang_up(self) -> None:
        """Have the process end, soon."""
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until the process has ended, and free what it took."""
        self._end()
        self._thread.join(_PATIENCE)
        self._socket.close()


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(theirs.fileno()), *sys.path],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env={**os.environ, **_ENVIRONMENT},
        # Ctrl-C goes to all processes of the terminal; this one ends with the one that started it.
        start_new_session=True,
    )
