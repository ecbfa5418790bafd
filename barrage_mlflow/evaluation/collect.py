"""The outcomes of a set of records, of what was observed piece by piece.

They are in the data's own units where the answer has a key for what is true (see
``RecordTransformer.targets``), else on the scale of the network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from pandas.util import hash_array

from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.metrics import season_of
from barrage_mlflow.evaluation.observe import About, Observed
from barrage_mlflow.evaluation.outcome import Outcome

KEPT = 5_000_000
"""Records of an output that are kept, at most; beyond, a sample of them."""
KEPT_VALUES = 50_000_000
"""Likewise the values of one of its arrays, such as the probabilities of many classes."""

_Told: TypeAlias = "tuple[Array, Array] | None"
"""In the terms of the answer, what is true and what was answered, if there is a key of both."""


class Outcomes:
    """Takes in what was observed, piece by piece.

    Attributes:
        count: records that were shown to the model.
        left_out: of them, how many its transformer refused.
        why: the first refusal, ``"expected a class that the train records have, got 'owl' (str)"``.
    """

    def __init__(self) -> None:
        self.count = 0
        self.left_out = 0
        self.why = ""
        self._samples: dict[str, _Sample] = {}

    def add(self, observed: Observed) -> dict[str, Outcome]:
        """Take in a piece, and judge it.

        Returns:
            Its outcomes by output; a record without a target is not among them.
        """
        left_out = np.array(observed.left_out, int)
        size = len(left_out) + len(next(iter(observed.scores.values()), ()))
        rows = self.count + np.delete(np.arange(size), left_out)
        self.count += size
        self.left_out += len(left_out)
        self.why = self.why or observed.why
        judged = {}
        for name, about in observed.about.items():
            sample = self._samples.setdefault(name, _Sample())
            one = _judge(name, About(*about), observed, sample.labels)
            judged[name] = replace(one, rows=rows[one.rows])
            sample.add(judged[name], self.count)
        return judged

    def all(self) -> dict[str, Outcome]:
        """The outcomes of all records that are kept, by their names."""
        return {one.name: one for one in map(_Sample.outcome, self._samples.values())}


class _Sample:
    """What is kept of one output: all of its records, or a share of very many.

    Attributes:
        labels: names of classes that came with their codes.
    """

    def __init__(self) -> None:
        self.labels: dict[int, Any] = {}
        self._share = 1.0
        self._pieces: list[Outcome] = []
        self._values = 0

    def add(self, outcome: Outcome, count: int) -> None:
        """Take in a piece, of so many records with all before it."""
        self._pieces.append(_drawn(outcome, self._share))
        self._values += _largest(self._pieces[-1])
        while count * self._share > KEPT or self._values > KEPT_VALUES:
            self._share /= 2
            self._pieces = [_drawn(piece, self._share) for piece in self._pieces]
            self._values = sum(map(_largest, self._pieces))

    def outcome(self) -> Outcome:
        """The pieces as one, with the names of classes that the transformer knows or that came."""
        one, size = _joined(self._pieces), max(self.labels, default=-1) + 1
        labels = one.labels or [self.labels.get(code, code) for code in range(size)]
        one = replace(one, labels=labels, share=self._share)
        return one if one.past is None else replace(one, season=season_of(one))


def _drawn(outcome: Outcome, share: float) -> Outcome:
    """A share of the records, the same ones of every output and model."""
    if share == 1:
        return outcome
    # Digests of numbers in order are spread at random.
    return outcome.take(hash_array(outcome.rows) < np.uint64(share * 2**64))


def _largest(outcome: Outcome) -> int:
    return max(int(array.size) for array in outcome.arrays().values())


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Outcomes of consecutive records as one."""
    each = [one.arrays() for one in outcomes]
    arrays: dict[str, Any] = dict.fromkeys(each[0])  # None of what not each piece has
    for name in set.intersection(*map(set, each)):
        arrays[name] = np.concatenate([one[name] for one in each])
    # A few answers may all be labels that no record has; one number on another scale spoils all.
    in_own = [one.in_own_units for one in outcomes if len(one)] or [outcomes[0].in_own_units]
    are_all = all(in_own) if outcomes[0].type in ("number", "series") else any(in_own)
    return replace(outcomes[0], **arrays, in_own_units=are_all)


def type_of(about: About, score: Array, target: Array) -> str:
    """Find what kind of target an output has; empty where nothing is defined for it.

    Args:
        about: what is known of the output.
        score: the network's output, ``(records, ...)``.
        target: what it was to come to.

    Example:
        >>> about = About("", "sparse_categorical_crossentropy", False, [])
        >>> type_of(about, np.ones((5, 3)) / 3, np.zeros(5, int))
        'category'
        >>> type_of(about._replace(loss="mse"), np.ones((5, 1)), np.zeros(5))
        'number'
    """
    if about.type:
        return about.type
    loss = about.loss.lower().replace("_", "")
    gives_probability = any(word in loss for word in ("crossentropy", "bce", "focal"))
    width = score.shape[1] if score.ndim > 1 else 1
    if score.ndim > 2 or target.size not in (len(target), len(target) * width):
        return ""
    if width == 1:
        return "truth" if gives_probability else "number"
    if target.size == len(target):  # one number of a wide output may be no class
        return "category" if gives_probability or target.dtype.kind in "iu" else ""
    if gives_probability:
        return "multi_category" if "binary" in loss or "bce" in loss else "category"
    return "series"


def _judge(name: str, about: About, observed: Observed, seen: dict[int, Any]) -> Outcome:
    """The outcome of one output for one piece."""
    score, target = observed.scores[name], observed.targets[name]
    rows, steps = np.arange(len(score)), math.prod(score.shape[1:-1])
    is_stepwise = score.ndim > 2 and target.size in (len(score) * steps, score.size)
    if is_stepwise:  # each word or pixel counts by itself
        score = score.reshape(-1, score.shape[-1])
        target = target.reshape(len(score), -1)
    kind = type_of(about, score, target)
    if not kind or (is_stepwise and kind == "series"):  # such as an image
        nothing = np.empty((len(rows), 0))
        return Outcome(name, "", nothing, nothing, np.ones(len(rows)), rows, in_own_units=False)
    key = None if is_stepwise else _key_of(name, observed)
    told = None if key is None else (observed.truths[key], observed.answers[key])
    rows, size = np.repeat(rows, steps) if is_stepwise else rows, len(score)
    weight = np.ones(size)
    for given in (observed.weights.get(name), observed.masks.get(name)):
        if given is not None and size % given.size == 0:
            weight = weight * np.repeat(given.ravel(), size // given.size)
    outcome = Outcome(
        key or name, kind, target, score, weight, rows, labels=about.labels, in_own_units=False
    )
    if kind in ("number", "series"):
        outcome = _numbers(outcome, told)
        known = np.isfinite(outcome.truth)
        has_past = kind == "series" and name in observed.pasts
        past = observed.pasts[name].astype(np.float64) if has_past else None
        outcome = replace(outcome, truth=np.where(known, outcome.truth, np.nan), past=past)
        return outcome.take(known.reshape(size, -1).any(axis=1) & (weight > 0))
    return _classes(outcome, about.has_logits, told, seen)


def _key_of(output: str, observed: Observed) -> str | None:
    """The key of the answer that an output comes to: its own name, or one that begins with it."""
    keys = [key for key in observed.truths if key in observed.answers]
    if output in keys:
        return output
    if len(observed.scores) == 1:
        return keys[0] if len(keys) == 1 else None
    for key in keys:
        begins_with = [name for name in observed.scores if f"{key}_".startswith(f"{name}_")]
        if output == max(begins_with, key=len, default=None):
            return key
    return None


def _numbers(outcome: Outcome, told: _Told) -> Outcome:
    """Numbers in the data's own units, if both sides have them; else on the network's scale."""
    size, is_series = len(outcome), outcome.type == "series"
    shape = outcome.answer.shape if is_series else (size,)
    if told is not None:
        try:
            both = [_floats(cells, shape) for cells in told]
            return replace(outcome, truth=both[0], answer=both[1], in_own_units=True)
        except (TypeError, ValueError):
            pass  # they are no numbers, or another number of them
    both = [_floats(cells, shape) for cells in (outcome.truth, outcome.answer)]
    return replace(outcome, truth=both[0], answer=both[1])


def _floats(cells: Array, shape: Sequence[int]) -> Array:
    """Cells as numbers; a missing one, or a list with a gap, is NaN."""
    if cells.dtype != object:
        return cells.astype(np.float64).reshape(shape)
    numbers = np.full(shape, np.nan)
    for place, cell in enumerate(cells.tolist()):
        if not is_missing(cell):
            numbers[place] = np.asarray(cell, np.float64).reshape(shape[1:])
    return numbers


def _probability(kind: str, score: Array, has_logits: bool) -> Array | None:
    """Probabilities, of what a network gives; None where that is something else."""
    made = score.astype(np.float32, copy=False)
    if has_logits and kind == "category":
        powers = np.exp(made - made.max(axis=1, keepdims=True))
        made = powers / powers.sum(axis=1, keepdims=True)
    elif has_logits:
        made = np.exp(-np.logaddexp(0, -made))
    return made if ((made >= 0) & (made <= 1)).all() else None


def _classes(outcome: Outcome, has_logits: bool, told: _Told, seen: dict[int, Any]) -> Outcome:
    """Classes by their codes, of records of which one is known."""
    kind, target, score = outcome.type, outcome.truth, outcome.answer
    if kind == "truth":
        target, score = target.reshape(len(target)), score.reshape(len(score))
    probability = _probability(kind, score, has_logits)
    chance = score if probability is None else probability
    known = outcome.weight > 0
    if kind == "category":
        is_one_hot = target.size > len(target)
        codes = target.argmax(axis=1) if is_one_hot else target.reshape(len(target)).astype(int)
        chosen = chance.argmax(axis=1)
        # A loss may pass over targets that are no class.
        known &= (codes >= 0) & (codes < score.shape[1])
    else:
        dtype = int if kind == "truth" else bool
        codes, chosen = (target > 0.5).astype(dtype), (chance >= 0.5).astype(dtype)
    if told is not None and told[0].dtype.kind in "fO":
        known &= np.array([not is_missing(cell) for cell in told[0].tolist()], bool)
    outcome = replace(outcome, truth=codes, answer=chosen, probability=probability).take(known)
    if told is None:
        return outcome
    in_labels = _answered_lists if kind == "multi_category" else _answered
    try:
        answered = in_labels(outcome, told[0][known], told[1][known], seen)
    except TypeError:  # no labels, but numbers, lists or dicts
        answered = None
    return outcome if answered is None else replace(outcome, answer=answered, in_own_units=True)


def _answered(outcome: Outcome, truth: Array, answer: Array, seen: dict[int, Any]) -> Array | None:
    """The classes that are answered, by labels that are known, or learnt of what is true.

    None if no answer is a label.
    """
    if answer.ndim > 1 or truth.ndim > 1:
        return None
    codes, first = np.unique(outcome.truth, return_index=True)
    for code, label in zip(codes.tolist(), truth[first].tolist(), strict=True):
        seen.setdefault(code, label)
    by_label = {label: code for code, label in (*enumerate(outcome.labels), *seen.items())}
    labels = answer.tolist()
    if not any(label in by_label for label in labels):
        return None
    return np.array([by_label.get(*pair) for pair in zip(labels, outcome.answer, strict=True)], int)


def _answered_lists(outcome: Outcome, truth: Array, answer: Array, seen: Any) -> Array | None:
    """Likewise of lists of labels."""
    places = {label: place for place, label in enumerate(outcome.labels)}
    chosen, is_known = np.zeros_like(outcome.truth), False
    for row, cell in zip(chosen, answer.tolist(), strict=True):
        labels = () if cell is None else cell
        found = [places[label] for label in labels if label in places]
        row[found] = True
        is_known |= bool(found) or not len(labels)
    return chosen if is_known and places else None
