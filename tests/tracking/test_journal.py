"""The metrics that are kept in the artifact folder."""

import math

import pytest

from barrage_mlflow.tracking import MetricJournal
from barrage_mlflow.tracking.journal import Epoch


@pytest.fixture
def clock(monkeypatch):
    """Milliseconds that go on by one with each look."""
    times = iter(range(1_000_000, 2_000_000_000_000, 1_000_000))
    monkeypatch.setattr("barrage_mlflow.tracking.journal.time.time_ns", lambda: next(times))


def test_an_epoch_keeps_the_time_when_it_was_first_trained(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    journal = MetricJournal(path)
    odd = {"loss": 0.5, "nan": math.nan, "inf": math.inf}
    assert [journal.add(1, odd), journal.add(2, {"loss": 0.25})] == [1, 2]
    again = MetricJournal(path)
    odd = dict(reversed(odd.items()))
    assert [again.add(1, odd), again.add(2, {"loss": 0.25})] == [1, 2]
    assert again.add(3, {"loss": 1}) == 3
    assert path.read_text("utf-8") == (
        '{"step": 1, "timestamp": 1, "metrics": {"loss": 0.5, "nan": NaN, "inf": Infinity}}\n'
        '{"step": 2, "timestamp": 2, "metrics": {"loss": 0.25}}\n'
        '{"step": 3, "timestamp": 3, "metrics": {"loss": 1.0}}\n'
    )


def test_other_metrics_take_the_place_of_an_epoch(tmp_path, clock):
    journal = MetricJournal(tmp_path / "metrics.jsonl")
    journal.add(2, {"loss": 0.5})
    journal.add(1, {"loss": 1.0})
    assert journal.add(2, {"loss": 0.25}) == 3
    assert MetricJournal(tmp_path / "metrics.jsonl").epochs() == [
        Epoch(1, 2, {"loss": 1.0}),
        Epoch(2, 3, {"loss": 0.25}),
    ]


@pytest.mark.parametrize("torn", ['{"step": 2, "time', '{"step": 2}', "3", "\x00\x00"])
def test_a_line_that_a_crash_tore_is_left_out(tmp_path, clock, torn):
    path = tmp_path / "metrics.jsonl"
    MetricJournal(path).add(1, {"loss": 1.0})
    with path.open("a") as file:
        file.write(torn)
    journal = MetricJournal(path)
    assert [epoch.step for epoch in journal.epochs()] == [1]
    journal.add(2, {"loss": 0.5})
    journal.add(3, {"loss": 0.25})
    assert MetricJournal(path).epochs() == [
        Epoch(1, 1, {"loss": 1.0}),
        Epoch(2, 2, {"loss": 0.5}),
        Epoch(3, 3, {"loss": 0.25}),
    ]
