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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test moves on."""
    # Not that of rich, which looks at the clock from a thread.
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", clock)
    return clock


def plain(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())


def train(stream: io.StringIO, clock: SimpleNamespace, seconds: float) -> list[str]:
    """The lines of three epochs of two batches."""
    callback = progress.progress_callback(stream)
    callback.set_params({"epochs": 3, "steps": 2})
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        for batch in range(2):
            clock.now += seconds / 2
            callback.on_train_batch_end(batch, {"loss": 0.5})
        callback.on_epoch_end(epoch, {"loss": 0.25, "val_loss": 1 / 3})
    callback.on_train_end()
    return plain(stream).splitlines()


def test_elsewhere_the_first_and_the_last_epoch_are_plain_lines(clock: SimpleNamespace) -> None:
    assert train(io.StringIO(), clock, 4.0) == [
        "epoch 1/3  loss 0.25 (val 0.3333)  0:00:08 left",
        "epoch 3/3  loss 0.25 (val 0.3333)  0:00:00 left",
    ]


def test_elsewhere_a_line_is_due_after_a_while(clock: SimpleNamespace) -> None:
    assert [line.split()[1] for line in train(io.StringIO(), clock, 60.0)] == ["1/3", "2/3", "3/3"]


def test_training_that_ends_before_an_epoch_shows_nothing() -> None:
    stream = io.StringIO()
    callback = progress.progress_callback(stream)
    callback.on_train_end()
    callback.on_train_begin()
    callback.on_train_end()
    assert stream.getvalue() == ""

    terminal = Terminal()
    progress.progress_callback(terminal).on_train_end()
    assert terminal.getvalue() == ""


def test_a_terminal_gets_a_line_for_each_epoch_and_a_live_bar(clock: SimpleNamespace) -> None:
    shown = "\n".join(train(Terminal(), clock, 30.0))
    for epoch, left in [(1, "0:01:00"), (2, "0:00:30"), (3, "0:00:00")]:
        assert f"epoch {epoch}/3  loss 0.25 (val 0.3333)  {left} left" in shown
    assert re.search(r"━ +100% epoch 3/3  2/2 batches  loss 0\.5", shown)


def score(
    stream: io.StringIO | None, clock: SimpleNamespace, *updates: tuple[int, float | None]
) -> str:
    """What is shown where each update comes six seconds after the one before."""
    with progress.ScoringProgress(stream) as shown:
        for records, share in updates:
            clock.now += 6
            shown.update(records, share)
            if shown._display.is_live:
                shown._display._bar.refresh()
        shown.finish("writing scores.csv")
    return plain(stream) if stream else ""


@pytest.mark.parametrize(
    ("updates", "lines"),
    [
        (
            [(1000, 0.1), (2000, 0.2), (3000, 0.3), (4000, 0.4), (5000, 0.5)],
            [
                "2,000 records  20%  167/s  0:00:48 left",
                "4,000 records  40%  167/s  0:00:36 left",
            ],
        ),
        # What is not known of a file is not shown.
        ([(1000, None), (2000, None)], ["2,000 records  167/s"]),
        # What an earlier process scored makes this one no faster.
        ([(1_001_000, 0.5), (1_002_000, 0.6)], ["1,002,000 records  60%  167/s  0:00:24 left"]),
        ([(1000, 1.0)], []),
    ],
)
def test_elsewhere_a_scoring_shows_at_most_every_ten_seconds_how_far_it_is(
    clock: SimpleNamespace, updates: list[tuple[int, float | None]], lines: list[str]
) -> None:
    assert score(io.StringIO(), clock, *updates).splitlines() == lines
    assert score(None, clock, *updates) == ""


def test_a_terminal_gets_a_bar_of_a_scoring(clock: SimpleNamespace) -> None:
    shown = score(Terminal(), clock, (1000, 0.25), (2000, 0.5))
    assert re.search(r"━ +50% 2,000 records  167/s  0:00:12 left", shown)
    assert "writing scores.csv" in shown
