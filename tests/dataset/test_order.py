"""The order of draws, in memory and in windows of row groups, and how often each is drawn."""

import math
from pathlib import Path

import numpy as np
import pytest
from golden_messages import messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.feeding.order import Order
from barrage_mlflow.dataset.feeding.sample_counts import sample_counts

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
groups = st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any)
# In memory, in windows, and kept although drawn in windows.
windows = st.one_of(st.none(), st.integers(1, 30))


def made(draws, window, kept, seed=3, epoch_draws=None):
    if window is None:
        draws = [sum(draws)]
    rows = np.arange(sum(draws)) if kept else None
    return Order(draws, seed, window, rows, epoch_draws)


def drawn(order, epoch, start=0):
    """The draws of an epoch in order, each as its position in the set."""
    starts = np.cumsum([0, *order._draws])
    for window in order.epoch(epoch, start):
        laid = [starts[group] + draw for group, draws in window.groups for draw in range(draws)]
        yield from (int(laid[row]) if window.groups else int(row) for row in window.rows)


@quick
@given(groups, windows, st.booleans(), st.integers(0, 2**70), st.integers(0, 100))
def test_an_epoch_draws_everything_once(draws, window, kept, seed, epoch):
    order = made(draws, window, kept, seed)
    assert sorted(drawn(order, epoch)) == list(range(sum(draws)))
    assert list(drawn(order, epoch)) == list(drawn(made(draws, window, not kept, seed), epoch))


@quick
@given(groups, windows, st.integers(1, 40), st.integers(0, 30))
def test_epochs_cut_one_stream_of_passes_and_begin_anywhere(draws, window, epoch_draws, start):
    order = made(draws, window, kept=False, epoch_draws=epoch_draws)
    epochs = math.ceil(3 * sum(draws) / epoch_draws)
    stream = [row for epoch in range(epochs) for row in drawn(order, epoch)]
    assert len(stream) == epochs * epoch_draws
    passes = made(draws, window, kept=False)
    whole = [row for number in range(3) for row in drawn(passes, number)]
    assert stream[: len(whole)] == whole
    for epoch in range(epochs):
        assert list(drawn(order, epoch, start)) == list(drawn(order, epoch))[start:]
        places = [draw for each in order.epoch(epoch, start) for draw in each.draws.tolist()]
        assert places == list(range(start, epoch_draws))


@quick
@given(groups, st.integers(1, 30), st.integers(0, 5))
def test_a_window_is_whole_row_groups_up_to_its_size(draws, window, epoch):
    found = [each.groups for each in made(draws, window, kept=False).epoch(epoch)]
    assert sorted(group for each in found for group, _ in each) == [
        group for group, size in enumerate(draws) if size
    ]
    for each, following in zip(found, [*found[1:], None], strict=True):
        size = sum(count for _, count in each)
        assert size <= window or len(each) == 1
        assert following is None or size + following[0][1] > window


def test_an_order_stays_what_it_is():
    assert list(drawn(Order([8], seed=42), 0)) == [3, 4, 2, 7, 6, 1, 5, 0]
    windowed = Order([3, 2, 4], seed=11, window=4)
    assert list(drawn(windowed, 0)) == [3, 4, 0, 2, 1, 7, 5, 6, 8]


def test_seed_pass_and_window_each_make_another_order():
    orders = {tuple(drawn(Order([50], seed), epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    within = {
        (seed, epoch, index): tuple(each.rows)
        for seed in (0, 1)
        for epoch in (0, 1)
        for index, each in enumerate(Order([100, 100], seed, window=100).epoch(epoch))
    }
    assert len(set(within.values())) == len(within) == 8
    many = Order([1] * 50, 0, window=5)
    assert list(drawn(many, 0)) != list(drawn(many, 1))


# Sample counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(("cells", "want"), [([1, 0, 2], [1, 0, 2]), ([1.0, 2.0], [1, 2])])
def test_sample_counts_are_whole_numbers(cells, want):
    got = sample_counts(Records.read([{"n": cell} for cell in cells]), "n")
    assert (got.dtype, got.tolist()) == (np.int64, want)


def counted(*cells):
    return lambda: sample_counts(
        Records.read([{"n": cell} for cell in cells], name="train.csv"), "n"
    )


def test_sample_counts_that_are_none_are_named():
    cases = {
        "a missing one": counted(1, None),
        "a negative one": counted(1, -1),
        "a fraction": counted(1, 0.5),
        "lists": counted([1], [1]),
        "nothing to draw": counted(0),
        "too much to draw": counted(2**62, 2**62),
        "no such column": lambda: sample_counts(Records.read([{"n": 0}]), "m"),
    }
    golden = Path(__file__).with_name("golden_sample_counts.txt")
    assert messages(cases) == golden.read_text("utf-8")
