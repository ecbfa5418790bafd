"""Worker processes: an ordered, bounded map of a job over tasks.

They are fresh Python processes, never forks: a process that holds TensorFlow's threads cannot
be forked safely. What comes out depends neither on how many there are nor on which is faster.
"""

from __future__ import annotations

import contextlib
import os
import reprlib
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

from barrage_mlflow.dataset.feeding.worker import Message, Raised, pack, receive, send
from barrage_mlflow.errors import ComponentError, describe_error

_START = """\
import sys
sys.path[:] = sys.argv[2:]
from barrage_mlflow.dataset.feeding.worker import main
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
_PATIENCE = 5.0
"""Seconds within which a process that nobody needs any more ends, before it is killed."""


class Workers(contextlib.AbstractContextManager["Workers"]):
    """Processes that each hold a copy of a job and work on tasks for it, in parallel.

    They start at once, and are awaited when the first result is: what they import meanwhile costs
    no time. They import what this process can import, and what the job needs alone.

    Args:
        count: how many processes, at least 1.
        job: called as ``job(task)`` in a process; it, the tasks and the results are pickled. It is
            sent to each process once.
        describe: what a task is, for messages.

    Raises:
        ComponentError: the job cannot be pickled, or no process can be started.

    Example:
        >>> import operator
        >>> with Workers(2, operator.itemgetter("x")) as workers:
        ...     list(workers.map({"x": i} for i in range(5)))
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        count: int,
        job: Callable[[Any], Any],
        describe: Callable[[Any], str] = reprlib.repr,
    ) -> None:
        try:
            packed = pack(job)
        except Exception as error:
            raise ComponentError(
                f"a component cannot be sent to worker processes: {describe_error(error)}; have "
                "it hold only what pickle takes (no lambda, no open file, no class of a "
                "function's inside), or set dataset.workers to 0"
            ) from error
        self._workers: list[_Worker] = []
        self._awaited = False
        try:
            for number in range(1, count + 1):
                title = f"worker process {number} of {count}"
                self._workers.append(_Worker(title, packed, describe))
        except OSError as error:
            self.close()
            raise ComponentError(
                f"worker process {number} of {count} cannot be started: {error}; set "
                "dataset.workers lower"
            ) from error

    def map(self, tasks: Iterable[Any], ahead: int | None = None) -> Iterator[Any]:
        """The job's results on the tasks, in the order of the tasks.

        It may be left before its end, and called again; only a process that died ends them all.

        Args:
            tasks: what is done; read as far as it is worked on.
            ahead: on how many tasks to work at once, at least 1, those included whose result
                waits to be taken; left out, two for each process.

        Raises:
            ComponentError: a process died, or cannot unpickle the job; or ``close`` was called.
            Exception: whatever the job or the tasks raise, in the place of the result.
        """
        waiting: deque[_Answer] = deque()
        limit = 2 * len(self._workers) if ahead is None else ahead
        rest = iter(tasks)
        more = True
        try:
            self.wait()
            while more or waiting:
                while more and len(waiting) < limit:
                    try:
                        waiting.append(self._submit(next(rest)))
                    except StopIteration:
                        more = False
                    except Exception as error:
                        waiting.append(_Answer(error=error))
                        more = False
                if waiting:
                    yield waiting.popleft().wait()
        except BaseException:
            if any(worker.ended for worker in self._workers):
                self.close()
            raise

    def wait(self) -> None:
        """Wait until every process holds the job.

        Raises:
            ComponentError: a process died, or cannot unpickle the job; or ``close`` was called.
        """
        if not self._workers:
            raise _closed()
        if self._awaited:
            return
        for worker in self._workers:
            try:
                worker.ready.wait()
            except Exception as error:
                failure = error if worker.ended else _not_loaded(error)
                self.close()
                raise failure from error.__cause__
        self._awaited = True

    def _submit(self, task: Any) -> _Answer:
        if not self._workers:
            raise _closed()
        return min(self._workers, key=lambda worker: worker.busy).submit(task)

    def close(self) -> None:
        """End the processes; what they work on is lost."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.join()

    def __exit__(self, *raised: object) -> None:
        self.close()


class _Answer:
    """What a process will answer: a result or an error.

    A Future would do, but for Ctrl-C: that may leave its lock taken for ever. A queue of this
    kind has no moment in which it can do harm.
    """

    def __init__(self, error: BaseException | None = None) -> None:
        self._given: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        if error is not None:
            self.give(error=error)

    def give(self, result: Any = None, error: BaseException | None = None) -> None:
        self._given.put((result, error))

    def unpack(self, message: Message) -> None:
        """Give what a message holds."""
        try:
            value = message.value()
        except Exception as error:
            self.give(error=error)
            return
        if isinstance(value, Raised):
            self.give(error=value.error())
        else:
            self.give(value)

    def wait(self) -> Any:
        """The result, or the error raised; it can be had once."""
        result, error = self._given.get()
        if error is not None:
            raise error
        return result


class _Worker:
    """One process: its socket, and the thread that takes in what it answers."""

    def __init__(self, title: str, job: Message, describe: Callable[[Any], str]) -> None:
        self._title = title
        self._describe = describe
        self.ready = _Answer()
        # What the process was sent and has not answered, oldest first.
        self._pending: deque[tuple[_Answer, Any]] = deque([(self.ready, None)])
        self._failure: BaseException | None = None
        self._closing = False
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _started(theirs)
        except OSError:
            self._socket.close()
            raise
        # Results are taken in while the caller is elsewhere, or the process would have to wait
        # with one before it begins the next. The job is sent here too: it may be large.
        self._thread = threading.Thread(target=self._take_in, args=(job,), daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        """How many tasks it has to answer."""
        return len(self._pending)

    @property
    def ended(self) -> bool:
        """Whether it answers no more."""
        return self._failure is not None

    def submit(self, task: Any) -> _Answer:
        answer = _Answer()
        message = pack(task)
        with self._lock:
            if self._failure is not None:
                return _Answer(error=self._failure)
            self._pending.append((answer, task))
            try:
                send(self._socket, message)
            except OSError:
                pass  # it is gone; the thread finds that too, and says why
            except BaseException:  # Ctrl-C: half a message is sent, and no other can follow it
                self.hang_up()
                raise
        return answer

    def _take_in(self, job: Message) -> None:
        failure: BaseException
        try:
            send(self._socket, job)
            del job
            while True:
                message = receive(self._socket)
                self._pending.popleft()[0].unpack(message)
        except (EOFError, OSError):
            failure = _closed() if self._closing else self._death()
        except BaseException as error:  # such as a MemoryError: nobody must wait for ever
            failure = error
        with self._lock:
            self._failure = failure
            while self._pending:
                self._pending.popleft()[0].give(error=failure)

    def _death(self) -> ComponentError:
        """How the process ended, doing what, and what to do."""
        status = self._end()
        doing = "it waited for work"
        if self._pending:
            answer, task = self._pending[0]
            doing = "it started" if answer is self.ready else f"it worked on {self._describe(task)}"
        if status == -signal.SIGKILL:
            return ComponentError(
                f"{self._title} was killed (SIGKILL) while {doing}; most often that is for want of "
                "memory: set dataset.workers or solver.batch_size lower"
            )
        how = f"exit status {status}"
        if status < 0:
            how = f"the signal {signal.Signals(-status).name}"
        return ComponentError(
            f"{self._title} ended with {how} while {doing}; a component, or a library that it "
            "uses, ended it: set dataset.workers to 0 to see it happen in the main process"
        )

    def _end(self) -> int:
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def hang_up(self) -> None:
        """Have the process end, soon."""
        self._closing = True
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until the process has ended, and free what it took."""
        self._end()
        self._thread.join(_PATIENCE)
        self._socket.close()


def _started(theirs: socket.socket) -> subprocess.Popen[bytes]:
    path = [entry for entry in sys.path if isinstance(entry, str)]
    # Ctrl-C goes to all processes of the terminal. The new one holds it back until it can ignore
    # it; else it would end with a traceback if it came while Python starts.
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs.fileno()), *path],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **_ENVIRONMENT},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)


def _closed() -> ComponentError:
    return ComponentError("the worker processes are closed")


def _not_loaded(error: Exception) -> ComponentError:
    return ComponentError(
        f"the worker processes cannot load a component: {describe_error(error)}; they import it "
        "from its module, so it cannot stand in the script that is run, or in a notebook: move it "
        "to a module of the project, or set dataset.workers to 0"
    )
