"""Progress of a training or scoring, under a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest

from barrage_mlflow.training import progress


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


def score(stream: io.StringIO | None, *updates: tuple[int, float | None]) -> None:
    with progress.ScoringProgress(stream) as shown:
        for records, share in updates:
            shown.update(records, share)
        shown.say("writing scores.csv")


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look at the clock take six seconds."""
    now = iter(range(0, 6000, 6))
    # Not that of rich, which looks at the clock from a thread.
    clock = SimpleNamespace(monotonic=lambda: float(next(now)))
    monkeypatch.setattr(progress, "time", clock)


@pytest.mark.usefixtures("seconds")
def test_elsewhere_a_scoring_says_at_most_every_ten_seconds_how_far_it_is() -> None:
    stream = io.StringIO()
    score(stream, (1000, 0.1), (2000, 0.2), (3000, 0.3), (4000, 0.4), (5000, 0.5))
    assert stream.getvalue().splitlines() == [
        "2,000 records  20%  167/s  0:00:48 left",
        "4,000 records  40%  167/s  0:00:36 left",
    ]


@pytest.mark.usefixtures("seconds")
def test_what_is_not_known_of_a_file_is_not_said() -> None:
    stream = io.StringIO()
    score(stream, (1000, None), (2000, None))
    assert stream.getvalue() == "2,000 records  167/s\n"


@pytest.mark.usefixtures("seconds")
def test_what_an_earlier_process_scored_makes_this_one_no_faster() -> None:
    stream = io.StringIO()
    score(stream, (1_001_000, 0.5), (1_002_000, 0.6))
    assert stream.getvalue() == "1,002,000 records  60%  167/s  0:00:24 left\n"


def test_a_short_scoring_says_nothing() -> None:
    stream = io.StringIO()
    score(stream, (1000, 1.0))
    assert stream.getvalue() == ""
    score(None, (1000, 1.0))


@pytest.mark.usefixtures("seconds")
def test_a_terminal_gets_a_bar_of_a_scoring() -> None:
    stream = Terminal()
    score(stream, (1000, 0.25), (2000, 0.5))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "writing scores.csv" in shown
    with progress.ScoringProgress(stream) as bar:
        bar.update(1000, 0.25)
        bar.update(2000, 0.5)
        bar._bar.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(r"━ +50% 2,000 records  167/s  0:00:12 left", shown)
