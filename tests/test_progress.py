"""Progress of a training, under a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest

from barrage_mlflow import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def show(stream: io.StringIO, epochs: int = 3) -> str:
    callback = progress.progress_callback(stream)
    callback.set_params({"epochs": epochs, "steps": 2})
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            callback.on_train_batch_end(batch, {"loss": 0.5})
        callback.on_epoch_end(epoch, {"loss": 0.25, "val_loss": 1 / 3})
    callback.on_train_end()
    return stream.getvalue()


def test_elsewhere_the_first_and_the_last_epoch_are_plain_lines() -> None:
    first, last = show(io.StringIO()).splitlines()
    assert re.fullmatch(r"epoch 1/3  loss 0\.25 \(val 0\.3333\)  0:00:00 left", first)
    assert re.fullmatch(r"epoch 3/3  loss 0\.25 \(val 0\.3333\)  0:00:00 left", last)


def test_elsewhere_a_line_is_due_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 0.0)
    lines = show(io.StringIO()).splitlines()
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]


def test_training_that_ends_before_an_epoch_shows_nothing() -> None:
    stream = io.StringIO()
    callback = progress.progress_callback(stream)
    callback.on_train_end()
    callback.on_train_begin()
    callback.on_train_end()
    assert stream.getvalue() == ""


def test_a_terminal_is_left_alone_by_training_that_does_not_begin() -> None:
    stream = Terminal()
    progress.progress_callback(stream).on_train_end()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_line_for_each_epoch_and_a_live_bar() -> None:
    shown = show(Terminal())
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    for epoch in (1, 2, 3):
        assert f"epoch {epoch}/3  loss 0.25 (val 0.3333)  0:00:00 left" in plain
    assert "batches" in plain


def test_the_time_left_is_that_of_the_epochs_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 30.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    clock = progress._Clock()
    clock.tick()
    assert clock.left(2) == "0:01:00"
    clock.tick()
    assert clock.left(4) == "0:03:00"
