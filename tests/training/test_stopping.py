"""SIGTERM and Ctrl-C: when they are raised, and that none is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from barrage_mlflow import stopping
from barrage_mlflow.stopping import StopSignals, put_off_signals


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_put_off_until_the_end_of_the_outer_block(number: signal.Signals) -> None:
    reached: list[str] = []
    with pytest.raises(KeyboardInterrupt, match=number.name):
        be_put_off(number, reached)
    assert reached == ["inner", "outer"]


def be_put_off(number: signal.Signals, reached: list[str]) -> None:
    with StopSignals():
        with put_off_signals():
            with put_off_signals():
                signal.raise_signal(number)
                reached.append("inner")
            reached.append("outer")
        reached.append("never")


def test_a_signal_is_put_off_also_when_the_block_fails() -> None:
    def fail() -> None:
        with StopSignals(), put_off_signals():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError("failed")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM") as caught:
        fail()
    assert repr(caught.value.__context__) == "ValueError('failed')"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_not_put_off_for_ever(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "_PUT_OFF", 0.1)
    reached: list[str] = []

    def sleep() -> None:
        with StopSignals():
            with put_off_signals():
                signal.raise_signal(number)
                reached.append("slept")
                time.sleep(60)
                reached.append("never")
            reached.append("never")

    with pytest.raises(KeyboardInterrupt, match=number.name):
        sleep()
    assert reached == ["slept"]


def test_what_ends_a_training_is_raised_once_and_a_second_ctrl_c_is_put_off_like_the_first() -> (
    None
):
    reached: list[str] = []
    with StopSignals():
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
        with put_off_signals():
            signal.raise_signal(signal.SIGTERM)
        reached.append("ending")
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            be_interrupted(reached)
    assert reached == ["ending", "put off"]


def be_interrupted(reached: list[str]) -> None:
    with put_off_signals():
        signal.raise_signal(signal.SIGINT)
        reached.append("put off")


def test_nothing_is_put_off_where_no_stop_signals_are_entered_or_in_another_thread() -> None:
    def interrupted() -> None:
        with put_off_signals():
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("never")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    blocks: list[str] = []

    def work() -> None:
        with put_off_signals():
            blocks.append("begun")
            done.wait(60)
            blocks.append("ended")

    done = threading.Event()
    thread = threading.Thread(target=work)
    with StopSignals():
        thread.start()
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            signal.raise_signal(signal.SIGTERM)
    assert blocks == ["begun"]
    done.set()
    thread.join()
    assert blocks == ["begun", "ended"]


ENDS = """
import os, signal, sys
from barrage_mlflow import stopping
from barrage_mlflow.stopping import StopSignals, put_off_signals

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
