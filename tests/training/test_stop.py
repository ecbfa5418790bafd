"""SIGTERM and Ctrl-C: when they interrupt, and that none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from barrage_mlflow.training.stop import StopRequest

NUMBERS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture(autouse=True)
def _handlers():
    """Have the handlers of Python: what a shell starts in the background ignores Ctrl-C."""
    numbers = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in NUMBERS]


@pytest.mark.parametrize("number", NUMBERS)
def test_the_first_signal_is_a_request_and_the_handlers_are_put_back(number) -> None:
    before = handlers()
    with StopRequest() as stop:
        stop.check()
        signal.raise_signal(number)
        assert stop.requested == number.name
        signal.raise_signal(signal.SIGTERM)  # what ends a training sends more than one
        with pytest.raises(KeyboardInterrupt, match=number.name):
            stop.check()
    assert handlers() == before


def test_a_second_ctrl_c_interrupts() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            signal.raise_signal(signal.SIGINT)
        assert stop.requested == "SIGTERM"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_block_is_interrupted_at_once(number) -> None:
    reached: list[str] = []

    def work() -> None:
        with stop.at_once():
            reached.append("in")
            signal.raise_signal(number)
            reached.append("never")

    with StopRequest() as stop:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt, match=number.name):
                work()
    assert reached == ["in"]


class Owner:
    """Something to be referred to weakly."""


def swallow() -> None:
    """Receive a signal where Python passes over what is raised, as within a destructor."""
    owner = Owner()
    reference = weakref.ref(owner, lambda _: signal.raise_signal(signal.SIGTERM))
    del owner
    assert reference() is None


def convert() -> None:
    """Receive a signal in code that makes another exception of it, as imports may."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as interrupt:
        raise ImportError("no module") from interrupt


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("lose", [swallow, convert])
def test_an_interrupt_that_is_lost_comes_at_the_end_of_the_block(lose) -> None:
    with (
        StopRequest() as stop,
        pytest.raises(KeyboardInterrupt, match="SIGTERM"),
        stop.at_once(),
    ):
        lose()


def test_one_within_another_is_the_other_one() -> None:
    with StopRequest() as outer:
        with StopRequest() as inner, inner.at_once():
            assert inner is outer
        signal.raise_signal(signal.SIGTERM)
        assert inner.requested == "SIGTERM"


def test_other_handlers_and_other_threads_are_left_alone() -> None:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert (stop.requested, received) == (None, [signal.SIGTERM])
    before = handlers()
    inside: list[object] = []

    def work() -> None:
        with StopRequest():
            inside.extend(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == before


CHILD = """
import signal, sys, time
from barrage_mlflow.training import stop
stop._INTERVAL = 0.05
stop.stop_with_mlflow()
with stop.StopRequest() as request, request.at_once():
    print("ready", flush=True)
    time.sleep(60)
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[2]], stderr=subprocess.DEVNULL)
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_death_of_mlflow_run_is_a_sigterm() -> None:
    environment = {**os.environ, "MLFLOW_RUN_ID": "1f0c"}
    command = [sys.executable, "-c", PARENT, "mlflow run", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        lines = [parent.stdout.readline(), parent.stdout.readline()]
        assert "ready\n" in lines  # parent and child print in either order
        parent.kill()
        # It holds the pipe open until it ends, which it would in a minute.
        assert parent.stdout.read() == ""
