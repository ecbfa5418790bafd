"""SIGTERM and Ctrl-C: when they are raised, and that none is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import weakref

import pytest

from barrage_mlflow.stopping import StopSignals


@pytest.fixture(autouse=True)
def _handlers():
    """Have the handlers of Python: what a shell starts in the background ignores Ctrl-C."""
    numbers = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in numbers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Owner:
    """Something to be referred to weakly."""


def swallow(number: signal.Signals) -> None:
    """Receive a signal where Python passes over what is raised, as within a destructor."""
    owner = Owner()
    reference = weakref.ref(owner, lambda _: signal.raise_signal(number))
    del owner
    assert reference() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_was_lost_is_raised_when_the_next_block_lets_it_in(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    reached: list[str] = []
    with StopSignals():
        swallow(number)
        with pytest.raises(KeyboardInterrupt, match=number.name):
            wait(reached)
    assert reached == ["held"]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def wait(reached: list[str]) -> None:
    with StopSignals() as signals, signals.held():
        reached.append("held")
        with signals.let_in():
            reached.append("let in")


def test_a_signal_is_held_back_until_the_end_of_the_block() -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        be_terminated(reached)
    assert reached == ["held"]


def be_terminated(reached: list[str]) -> None:
    with StopSignals() as signals:
        with signals.held():
            signal.raise_signal(signal.SIGTERM)
            reached.append("held")
        reached.append("never")


ENDS = """
import os, signal, sys
from barrage_mlflow.stopping import StopSignals

number = int(sys.argv[1])
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
try:
    with StopSignals() as signals:
        with signals.ending_the_process():
            print("in", flush=True)
        if sys.argv[2] == "within":
            with signals.ending_the_process():
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                try:
                    signal.raise_signal(number)
                except KeyboardInterrupt:
                    print("swallowed", flush=True)
        signal.raise_signal(number)
except KeyboardInterrupt as interrupt:
    print(interrupt, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_where_nothing_is_begun(number: signal.Signals) -> None:
    def ended(where: str) -> tuple[int, str, str]:
        command = [sys.executable, "-c", ENDS, str(int(number)), where]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert ended("within") == (130, "in\n", "interrupted\n")
    assert ended("behind") == (0, f"in\n{number.name}\n", "")
