"""Worker processes: order, bounds, failures of every kind, and that nothing is left behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import worker_jobs
from contract import assert_data_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from outside import is_gone

from barrage_mlflow.dataset.components.places import place_of
from barrage_mlflow.dataset.feeding import workers as workers_module
from barrage_mlflow.dataset.feeding.workers import Workers
from barrage_mlflow.errors import ComponentError

HERE = str(Path(__file__).parents[1])
NOTES = [worker_jobs.PLACE, "column 's' holds 'many'"]


@pytest.fixture(scope="module")
def crews():
    """Workers of 1 to 3 processes for ``worker_jobs.block``."""
    made = {count: Workers(count, worker_jobs.block) for count in range(1, 4)}
    yield made
    for workers in made.values():
        workers.close()


@pytest.fixture(scope="module")
def failing():
    with Workers(2, worker_jobs.fails) as workers:
        yield workers


# Order and bounds -------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(
    tasks=st.lists(st.tuples(st.integers(1, 70), st.integers(0, 99)), max_size=12),
    count=st.integers(1, 3),
    left=st.none() | st.integers(0, 12),
)
def test_results_are_those_of_one_process_in_order(crews, tasks, count, left):
    results = crews[count].map(tasks)
    for number, task in enumerate(tasks):
        if number == left:
            results.close()
            break
        got = next(results)
        assert_data_equal(got, worker_jobs.block(task), f"task {number}")
        assert all(array.flags.writeable for part in got for array in part.values())
    assert list(results) == []


def test_tasks_are_read_as_far_as_they_are_worked_on(crews):
    read = []
    tasks = (read.append(number) or (1, number) for number in range(10))
    results = crews[2].map(tasks)
    assert read == []
    seen = [(int(y["y"]), len(read)) for _, y in results]
    assert seen == [(number, min(number + 5, 10)) for number in range(10)]


def test_the_processes_stay_for_the_next_map():
    with Workers(2, worker_jobs.pid) as workers:
        started = {made._process.pid for made in workers._workers}
        first = set(workers.map(range(8)))
        next(workers.map(range(8)))
        drawn = set(workers.map(range(8)))
    # Which of them does what is open: a fast one may leave nothing to the other.
    assert first | drawn <= started
    assert os.getpid() not in started


def test_large_tasks_and_large_results_do_not_wait_for_each_other():
    tasks = [np.full(400_000, number) for number in range(12)]
    with Workers(2, worker_jobs.echo) as workers:
        for task, result in zip(tasks, workers.map(tasks), strict=True):
            np.testing.assert_array_equal(result, task)


# Errors of the job ------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(worker_jobs.ERRORS))
def test_an_error_is_raised_here_as_it_was_there(failing, name):
    results = failing.map(["a", "b", name, "c"])
    assert [next(results), next(results)] == ["a", "b"]
    with pytest.raises(type(worker_jobs.ERRORS[name]())) as error:
        next(results)
    assert error.value.__notes__ == NOTES
    assert place_of(error.value) == worker_jobs.PLACE
    assert list(results) == []
    assert list(failing.map("again")) == list("again")


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("unpicklable", "TypeError: cannot pickle '_thread.lock' object\n"),
        ("there alone", "ValueError: not in a worker process\n"),
    ],
)
def test_an_error_that_the_main_process_does_not_meet_is_shown(failing, task, text):
    results = failing.map(["a", task])
    assert next(results) == "a"
    fault = f"^a worker process failed at {task}, though the main process did not: {text}"
    with pytest.raises(ComponentError, match=fault) as error:
        next(results)
    assert "Traceback" in str(error.value)


def test_an_error_of_the_tasks_is_raised(failing):
    def tasks():
        yield "a"
        raise OSError("the file is gone")

    with pytest.raises(OSError, match=r"^the file is gone$"):
        next(failing.map(tasks()))
    with pytest.raises(TypeError, match="cannot pickle"):
        next(failing.map(["a", threading.Lock()]))
    assert list(failing.map("again")) == list("again")


# A process that ends ----------------------------------------------------------------------


ENDED = (
    "a component, or a library that it uses, ended it: set dataset.workers to 0 to see it happen "
    "in the main process"
)
WANT = "most often that is for want of memory: set dataset.workers or solver.batch_size lower"


@pytest.mark.parametrize(
    ("task", "how", "remedy"),
    [
        ("killed", "SIGKILL", WANT),
        ("leaves", "exit status 3", ENDED),
    ],
)
def test_a_process_that_dies_says_how_and_ends_the_others(task, how, remedy):
    with Workers(2, worker_jobs.fails) as workers:
        pids = [made._process.pid for made in workers._workers]
        results = workers.map(["a", task, "b", "c"])
        assert next(results) == "a"
        # Which of the two has it depends on how soon the first was done with "a".
        with pytest.raises(ComponentError, match=r"^worker process [12] of 2 ") as error:
            next(results)
        fault = f"ended with {how} while it worked on {task}; {remedy}"
        assert str(error.value).partition(" of 2 ")[2] == fault
        assert all(map(is_gone, pids))
        with pytest.raises(ComponentError, match=r"^the worker processes are closed$"):
            next(workers.map("a"))


def test_a_process_that_is_killed_between_two_maps_is_named(monkeypatch):
    with Workers(1, worker_jobs.echo) as workers:
        assert list(workers.map("a")) == ["a"]
        (made,) = workers._workers
        os.kill(made._process.pid, signal.SIGKILL)
        made._thread.join()
        fault = r"^worker process 1 of 1 ended with SIGKILL while it waited for work; "
        with pytest.raises(ComponentError, match=fault):
            next(workers.map("b"))


def test_a_process_that_dies_while_it_starts_says_so():
    with Workers(1, worker_jobs.Dies()) as workers:
        fault = r"^worker process 1 of 1 ended with exit status 4 while it worked on its start; "
        with pytest.raises(ComponentError, match=fault):
            list(workers.map("a"))


def test_want_of_memory_for_a_result_is_named(monkeypatch):
    with Workers(1, worker_jobs.echo) as workers:
        assert list(workers.map("a")) == ["a"]

        def receive(connection):
            raise MemoryError("no room")

        monkeypatch.setattr(workers_module, "receive", receive)
        # One answer may still be waited for in the receive of before.
        with pytest.raises(MemoryError, match=r"^no room$"):
            list(workers.map("bc"))


# Jobs that cannot be sent -----------------------------------------------------------------


def test_a_job_that_cannot_be_pickled_says_what_to_do():
    with pytest.raises(ComponentError, match="cannot be sent") as error:
        Workers(1, lambda task: task)
    assert re.fullmatch(
        r"a component cannot be sent to worker processes: \w*Error: Can't (pickle|get) .*; have it "
        r"hold only what pickle takes \(no lambda, no open file, no class of a function's inside\)"
        r", or set dataset\.workers to 0",
        str(error.value),
    )


def test_a_job_that_the_processes_cannot_import_says_what_to_do(monkeypatch):
    def here(task):
        return task

    here.__module__, here.__qualname__ = "__main__", "here"
    monkeypatch.setattr(sys.modules["__main__"], "here", here, raising=False)
    with Workers(2, here) as workers:
        with pytest.raises(ComponentError, match="cannot load a component") as error:
            next(workers.map([1]))
        assert re.fullmatch(
            r"the worker processes cannot load a component: AttributeError: Can't get attribute "
            r"'here' on <module '__main__'.*>; they import it from its module, so it cannot be "
            r"in the script that is run, or in a notebook: move it to a module of the project, or "
            r"set dataset\.workers to 0",
            str(error.value),
        )
        with pytest.raises(ComponentError, match=r"^the worker processes are closed$"):
            next(workers.map([1]))


def test_a_process_that_cannot_be_started_says_so_and_ends_those_that_were(monkeypatch):
    started = []
    start = subprocess.Popen

    def popen(*args, **kwargs):
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(start(*args, **kwargs))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(ComponentError, match="cannot be started") as error:
        Workers(3, worker_jobs.echo)
    assert str(error.value) == (
        "worker process 2 of 3 cannot be started: [Errno 11] Resource temporarily unavailable; "
        "set dataset.workers lower"
    )
    assert is_gone(started[0].pid)


# What the processes find ------------------------------------------------------------------


def test_the_processes_import_little_and_find_what_this_one_finds(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("ANSWER", "42")
    monkeypatch.syspath_prepend("/first")
    with Workers(1, worker_jobs.surroundings) as workers:
        (found,) = workers.map([0])
    heavy = {"tensorflow", "keras", "mlflow", "pandas", "pyarrow", "matplotlib", "click"}
    assert found["modules"] & heavy == set()
    assert found["path"] == sys.path
    environment = found["environment"]
    assert {environment[name] for name in environment if name.endswith("_NUM_THREADS")} == {"1"}
    assert (environment["ANSWER"], environment["CUDA_VISIBLE_DEVICES"]) == ("42", "-1")
    assert os.environ["OMP_NUM_THREADS"] == "8"
    assert found["stdin"] == ""


def test_what_a_job_prints_reaches_the_output_of_this_process(capfd):
    with Workers(1, worker_jobs.says) as workers:
        assert list(workers.map("ab")) == ["a", "b"]
    assert capfd.readouterr() == ("out a\nout b\n", "err a\nerr b\n")


# What is left behind ----------------------------------------------------------------------


def descriptors():
    return sorted(Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("use", ["all", "some", "none", "fails"])
def test_nothing_is_left_behind(use):
    before, threads = descriptors(), threading.active_count()
    with Workers(3, worker_jobs.fails) as workers:
        pids = [made._process.pid for made in workers._workers]
        if use == "all":
            assert len(list(workers.map(range(9)))) == 9
        elif use == "some":
            next(workers.map(range(9)))
        elif use == "fails":
            with pytest.raises(ValueError, match="many"):
                list(workers.map(["value"]))
    assert all(map(is_gone, pids))
    assert (descriptors(), threading.active_count()) == (before, threads)
    workers.close()


def test_a_process_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(workers_module, "_PATIENCE", 0.1)
    with Workers(1, worker_jobs.forever) as workers:
        results = workers.map([0, 1])
        assert next(results) == 0
        (made,) = workers._workers
    assert made._process.returncode == -signal.SIGKILL


SCRIPT = """\
import signal
import sys
sys.path.insert(0, {here!r})
import worker_jobs
from barrage_mlflow.dataset.feeding.workers import Workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" has it ignored
try:
    with Workers(2, worker_jobs.forever) as workers:
        for result in workers.map([0, 0, 1, 1]):
            print("result", result, flush=True)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [(signal.SIGKILL, -signal.SIGKILL, ""), (signal.SIGINT, 0, "interrupted\n")],
)
def test_the_processes_end_with_the_one_that_started_them(end, status, said):
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(here=HERE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert [script.stdout.readline(), script.stdout.readline()] == ["result 0\n"] * 2
        if end == signal.SIGINT:
            os.killpg(script.pid, end)  # as Ctrl-C does: to all of them
        else:
            script.kill()
        # The pipes end when the last process that holds them does: the workers hold them too.
        out, err = script.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGKILL)
    assert [out, err, script.returncode] == [said, "", status], err
