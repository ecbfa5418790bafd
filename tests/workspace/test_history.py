"""The metrics that are kept in the artifact folder."""

import math

import pytest

from barrage_mlflow.workspace.history import Epoch, History


@pytest.fixture
def clock(monkeypatch):
    """Milliseconds that go on by one with each look."""
    times = iter(range(1_000_000, 2_000_000_000_000, 1_000_000))
    monkeypatch.setattr("barrage_mlflow.workspace.record.time.time_ns", lambda: next(times))


def test_an_epoch_keeps_the_time_when_it_was_first_trained(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    history = History(path)
    odd = {"loss": 0.5, "nan": math.nan, "inf": math.inf}
    history.add(1, odd)
    history.add(2, {"loss": 0.25})
    again = History(path)
    odd = dict(reversed(odd.items()))
    again.add(1, odd)
    again.add(2, {"loss": 0.25})
    again.add(3, {"loss": 1})
    assert path.read_text("utf-8") == (
        '{"step": 1, "timestamp": 1, "metrics": {"loss": 0.5, "nan": NaN, "inf": Infinity}}\n'
        '{"step": 2, "timestamp": 2, "metrics": {"loss": 0.25}}\n'
        '{"step": 3, "timestamp": 3, "metrics": {"loss": 1.0}}\n'
    )


def test_other_metrics_take_the_place_of_an_epoch(tmp_path, clock):
    history = History(tmp_path / "metrics.jsonl")
    history.add(2, {"loss": 0.5})
    history.add(1, {"loss": 1.0})
    history.add(2, {"loss": 0.25})
    assert History(tmp_path / "metrics.jsonl").epochs() == [
        Epoch(1, 2, {"loss": 1.0}),
        Epoch(2, 3, {"loss": 0.25}),
    ]


@pytest.mark.parametrize("torn", ['{"step": 2, "time', '{"step": 2}', "3", "\x00\x00"])
def test_a_line_that_a_crash_tore_is_left_out(tmp_path, clock, torn):
    path = tmp_path / "metrics.jsonl"
    History(path).add(1, {"loss": 1.0})
    with path.open("a") as file:
        file.write(torn)
    history = History(path)
    assert [epoch.step for epoch in history.epochs()] == [1]
    history.add(2, {"loss": 0.5})
    history.add(3, {"loss": 0.25})
    assert History(path).epochs() == [
        Epoch(1, 1, {"loss": 1.0}),
        Epoch(2, 2, {"loss": 0.5}),
        Epoch(3, 3, {"loss": 0.25}),
    ]


def test_epochs_can_be_forgotten(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    history = History(path)
    for step in (1, 2, 3):
        history.add(step, {"loss": 1 / step})
    history.cut(2)
    history.add(3, {"loss": 0.25})
    assert history.epochs() == History(path).epochs()
    assert [epoch.metrics["loss"] for epoch in history.epochs()] == [1.0, 0.5, 0.25]
