"""The order of streamed records: a pure function of seed, pass and window."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset.feeding.windows import Windows
from barrage_mlflow.errors import RecordError

quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
sizes = st.lists(st.integers(0, 12), min_size=1, max_size=8).filter(any)


def drawn(windows: Windows, number: int, index: int) -> list[tuple[int, int]]:
    """The draws of a window in order, each as its row group and its number in that."""
    laid = [
        (group, draw)
        for group, first, last in windows.parts(number, index)
        for draw in range(first, last)
    ]
    return [laid[place] for place in windows.permutation(number, index)]


@quick
@given(sizes, st.integers(1, 30), st.integers(0, 2**70), st.integers(0, 3))
def test_a_pass_draws_everything_once(groups, window, seed, number):
    windows = Windows(groups, window, seed)
    of_windows = [drawn(windows, number, index) for index in range(windows.count)]
    everything = [draw for of_window in of_windows for draw in of_window]
    assert sorted(everything) == [
        (g, draw) for g, size in enumerate(groups) for draw in range(size)
    ]
    assert windows.draws == sum(groups) == len(everything)
    assert [len(of_window) for of_window in of_windows] == [
        windows.size(index) for index in range(windows.count)
    ]
    assert {windows.size(index) for index in range(windows.count - 1)} <= {window}


@quick
@given(sizes, st.integers(1, 30), st.integers(0, 100))
def test_going_on_from_a_draw_is_what_going_on_would_have_been(groups, window, draw):
    windows = Windows(groups, window, seed=3)
    whole = [
        (number, index, place)
        for number, index, skip in islice(windows.from_draw(0), draw + 4)
        for place in range(skip, windows.size(index))
    ]
    on = [
        (number, index, place)
        for number, index, skip in islice(windows.from_draw(draw), 3)
        for place in range(skip, windows.size(index))
    ]
    assert on == whole[draw : draw + len(on)]
    again = Windows(groups, window, seed=3)
    number, index, _ = next(again.from_draw(draw))
    assert drawn(again, number, index) == drawn(windows, number, index)


def test_an_order_stays_what_it_is():
    windows = Windows([3, 2, 4], window=4, seed=11)
    assert [drawn(windows, 0, index) for index in range(3)] == [
        [(1, 0), (1, 1), (0, 0), (0, 1)],
        [(2, 1), (0, 2), (2, 2), (2, 0)],
        [(2, 3)],
    ]


def test_seed_pass_and_window_each_make_another_order():
    orders = {
        (seed, number, index): tuple(Windows([200], 100, seed).permutation(number, index))
        for seed in (0, 1)
        for number in (0, 1)
        for index in (0, 1)
    }
    assert len(set(orders.values())) == len(orders)
    passes = [[part[0] for part in Windows([1] * 50, 50, 0).parts(number, 0)] for number in (0, 1)]
    assert passes[0] != passes[1]
    assert passes[0] != Windows([1] * 50, 50, 0).permutation(0, 0).tolist()


def test_a_window_as_long_as_a_pass_shuffles_across_row_groups():
    draws = drawn(Windows([50, 50], 100, seed=0), 0, 0)
    changes = np.count_nonzero(np.diff([group for group, _ in draws]))
    assert changes > 20


def test_nothing_to_draw_says_so():
    for groups in ([], [0, 0]):
        with pytest.raises(RecordError, match=r"^there is no record to draw; give at least one"):
            Windows(groups, 4, 0)
