"""Progress of a training or scoring, under a terminal and elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from barrage_mlflow.training import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test moves on."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lines(stream: io.StringIO) -> list[str]:
    """What can be read of the stream in the end: a carriage return and an escape clear a line."""
    return [line.rpartition("\r\x1b[K")[2] for line in stream.getvalue().split("\n")]


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
    return lines(stream)


@pytest.mark.parametrize(
    ("stream", "seconds", "left"),
    [
        # At once, then one every ten seconds, and the last one.
        (io.StringIO(), 4.0, {1: "0:00:08", 3: "0:00:00"}),
        (io.StringIO(), 60.0, {1: "0:02:00", 2: "0:01:00", 3: "0:00:00"}),
        (Terminal(), 4.0, {1: "0:00:08", 2: "0:00:04", 3: "0:00:00"}),
    ],
)
def test_a_line_for_each_epoch_that_is_due(
    clock: SimpleNamespace, stream: io.StringIO, seconds: float, left: dict[int, str]
) -> None:
    assert train(stream, clock, seconds) == [
        *(f"epoch {epoch}/3  loss 0.25 (val 0.3333)  {each} left" for epoch, each in left.items()),
        "",
    ]
    assert ("epoch 3/3  2/2 batches  loss 0.5" in stream.getvalue()) == stream.isatty()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_training_that_ends_before_an_epoch_shows_nothing(stream: io.StringIO) -> None:
    callback = progress.progress_callback(stream)
    callback.on_train_end()
    callback.on_train_begin()
    callback.on_train_end()
    assert lines(stream) == [""]


def score(
    stream: io.StringIO | None, clock: SimpleNamespace, *updates: tuple[int, float | None]
) -> None:
    """Show updates, each six seconds after the one before."""

    def pieces() -> Iterator[tuple[None, int, float | None]]:
        for records, share in updates:
            clock.now += 6
            yield None, records, share

    with progress.Display(stream) as display:
        assert [done for _, done in progress.follow_scoring(pieces(), display)] == [
            records for records, _ in updates
        ]


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        (
            [(1000, 0.1), (2000, 0.2), (3000, 0.3), (4000, 0.4), (5000, 0.5)],
            [
                "2,000 records  167/s  20%  0:00:48 left",
                "4,000 records  167/s  40%  0:00:36 left",
            ],
        ),
        # What is not known of a file is not shown.
        ([(1000, None), (2000, None)], ["2,000 records  167/s"]),
        # What an earlier process scored makes this one no faster.
        ([(1_001_000, 0.5), (1_002_000, 0.6)], ["1,002,000 records  167/s  60%  0:00:24 left"]),
        ([(1000, 1.0)], []),
    ],
)
def test_elsewhere_a_scoring_shows_at_most_every_ten_seconds_how_far_it_is(
    clock: SimpleNamespace, updates: list[tuple[int, float | None]], expected: list[str]
) -> None:
    stream = io.StringIO()
    score(stream, clock, *updates)
    score(None, clock, *updates)
    assert lines(stream) == [*expected, ""]


def test_a_terminal_gets_one_line_of_a_scoring_that_fits(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "21")
    stream = Terminal()
    score(stream, clock, (1000, 0.25), (2000, 0.5))
    shown = stream.getvalue().split("\r\x1b[K")
    assert shown == ["", "2,000 records  167/s", ""]
