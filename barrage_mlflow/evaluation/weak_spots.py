"""Weak spots: groups of records on which a model is wrong more often, or by more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.figures import baseline
from barrage_mlflow.evaluation.kept import Kept, errors_of
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pages import plain, show

_LEAST = 20
"""Records in a group, at least, and beside it."""
_BEYOND_CHANCE = 3.0
"""Standard errors between a group and all others: of a thousand groups that are like all others,
one is so far away."""
_MOST = 3
"""Groups that are told: those with the most of the error."""


def weak_spots(outcome: Outcome, kept: Kept) -> str | None:
    """The groups of records on which the model is worse than on all others, beyond chance.

    They are by the values of columns that have few, and of classes by the true one.
    """
    some = np.isin(outcome.rows, kept.groups.index)
    one, constant = outcome.take(some), baseline(outcome).take(some)
    error, simple = errors_of(one), errors_of(constant)
    is_number = outcome.type in ("number", "series")
    found: list[tuple[float, str]] = []
    for where, taken_for, inside in _groups(one, kept):
        # Steps of one record are right or wrong together.
        counts = [len(np.unique(one.rows[each])) for each in (inside, ~inside)]
        if min(counts) < _LEAST:
            continue
        both, size = (error[inside], error[~inside]), counts[0]
        here, elsewhere = (each.mean() for each in both)
        noise = [each.var() / count for each, count in zip(both, counts, strict=True)]
        if here - elsewhere <= _BEYOND_CHANCE * math.sqrt(sum(noise)):
            continue
        if is_number:
            said = f"off by {show(float(here))} on average, elsewhere by {show(float(elsewhere))}"
            if here >= simple[inside].mean():
                said += "; no better than the baseline"
        else:
            said = f"{here:.0%} are answered wrongly{taken_for}; of the others {elsewhere:.0%}"
        found.append((size * (here - elsewhere), f"{where} ({show(size)} records): {said}"))
    found.sort(reverse=True)
    return "\n".join(f"- {plain(said)}" for _, said in found[:_MOST]) or None


def _groups(outcome: Outcome, kept: Kept) -> Iterator[tuple[str, str, Array]]:
    """Groups in words, for what class each is taken, and which of the records are in it."""
    for column, value, inside in kept.groups_of(outcome.rows):
        yield f"Where {show(column)} is {show(value)}", "", inside
    if outcome.type not in ("category", "truth"):
        return
    for code in np.unique(outcome.truth).tolist():
        inside = outcome.truth == code
        wrong = outcome.answer[inside & (outcome.answer != code)]
        if len(wrong):
            label = outcome.label(int(np.bincount(wrong).argmax()))
            yield f"Class {show(outcome.label(code))}", f", mostly as {show(label)}", inside
