"""The outcomes of a set of records, of what was observed piece by piece.

They are in the data's own units where the answer has a key for what is true (see
``RecordTransformer.targets``), else on the scale of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.observe import About, Observed
from barrage_mlflow.evaluation.outcome import Outcome

KEPT = 5_000_000
"""Records that are kept, at most; beyond, a seeded sample of them."""
KEPT_VALUES = 50_000_000
"""Likewise the values of one array, such as the probabilities of many classes."""

_SEED = 0


class Outcomes:
    """Takes in what was observed, piece by piece.

    Attributes:
        count: records that were observed.
        share: of them, how many are kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self.share = 1.0
        self._rng = np.random.default_rng(_SEED)
        self._kept: list[dict[str, Outcome]] = []
        self._labels: dict[str, dict[int, Any]] = {}

    def add(self, observed: Observed) -> dict[str, Outcome]:
        """Take in a piece, and judge it.

        Returns:
            Its outcomes by output; a record without a target is not among them.
        """
        size = len(next(iter(observed.scores.values())))
        judged = {
            name: _judge(name, About(*about), observed, self._labels.setdefault(name, {}))
            for name, about in observed.about.items()
        }
        first, self.count = self.count, self.count + size
        judged = {name: replace(one, rows=one.rows + first) for name, one in judged.items()}
        self._kept.append(judged if self.share == 1 else self._thinned(judged, self.share))
        self._thin()
        return judged

    def _thin(self) -> None:
        """Let go of every second record, on average, until they are few enough."""
        widest = max((_width(one) for one in self._kept[0].values()), default=1)
        while self.count * self.share > min(KEPT, KEPT_VALUES // widest):
            self.share /= 2
            self._kept = [self._thinned(piece, 0.5) for piece in self._kept]

    def _thinned(self, piece: Mapping[str, Outcome], share: float) -> dict[str, Outcome]:
        return {name: one.take(self._rng.random(len(one)) < share) for name, one in piece.items()}

    def all(self) -> dict[str, Outcome]:
        """The outcomes of all records that are kept, by output."""
        return {
            name: replace(
                _joined([piece[name] for piece in self._kept]), labels=self._names(name, one.labels)
            )
            for name, one in self._kept[0].items()
        }

    def _names(self, output: str, known: Sequence[Any]) -> Sequence[Any]:
        """Names of classes: those that the transformer knows, or that came with their codes."""
        seen = self._labels[output]
        return known or [seen.get(code, code) for code in range(max(seen, default=-1) + 1)]


def _width(outcome: Outcome) -> int:
    arrays = (outcome.truth, outcome.probability, outcome.past)
    return max(array.shape[1] if array is not None and array.ndim > 1 else 1 for array in arrays)


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Outcomes of consecutive records as one."""
    each = [one.arrays() for one in outcomes]
    arrays: Any = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    return replace(outcomes[0], **arrays)


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
    loss = about.loss.lower()
    gives_probability = any(word in loss for word in ("crossentropy", "bce", "focal"))
    width = score.shape[1] if score.ndim > 1 else 1
    if score.ndim > 2 or target.size not in (len(target), len(target) * width):
        return ""
    if width == 1:
        return "truth" if gives_probability else "number"
    if target.size == len(target):
        return "category"
    if gives_probability:
        return "multi_category" if "binary" in loss or "bce" in loss else "category"
    return "series"


def _judge(name: str, about: About, observed: Observed, seen: dict[int, Any]) -> Outcome:
    """The outcome of one output for one piece."""
    score, target = observed.scores[name], observed.targets[name]
    kind = type_of(about, score, target)
    key = _key_of(name, observed)
    answer, truth = (None, None) if key is None else (observed.answers[key], observed.truths[key])
    size = len(score)
    weight = np.ones(size)
    if name in observed.weights and observed.weights[name].size == size:
        weight = observed.weights[name].reshape(size).astype(np.float64)
    outcome = Outcome(
        key or name, kind, target, score, weight, np.arange(size), in_own_units=key is not None
    )
    if not kind:
        return replace(outcome, in_own_units=False)
    if kind in ("number", "series"):
        outcome = _numbers(outcome, answer, truth)
        past = observed.pasts.get(name)
        outcome = replace(outcome, past=None if past is None else _filled(past.astype(np.float64)))
        known = np.isfinite(outcome.truth.reshape(size, -1)).all(axis=1)
    else:
        probability = _probability(kind, score, about.has_logits)
        outcome = replace(outcome, probability=probability, labels=[*about.labels])
        outcome = _classes(outcome, answer, truth, seen)
        known = np.ones(size, bool)
        if truth is not None and truth.dtype.kind in "fO":
            known = np.array([not is_missing(cell) for cell in truth.tolist()])
    return outcome.take(known & (weight > 0))


def _key_of(output: str, observed: Observed) -> str | None:
    """The key of the answer that an output comes to: its own name, or one that begins with it."""
    keys = [key for key in observed.truths if key in observed.answers]
    if output in keys:
        return output
    others = [name for name in observed.scores if name != output]
    if not others:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.startswith(f"{output}_")), None)


def _numbers(outcome: Outcome, answer: Array | None, truth: Array | None) -> Outcome:
    """Numbers in the data's own units, if both sides have them; else on the network's scale."""
    size, is_series = len(outcome), outcome.type == "series"
    shape = outcome.answer.shape if is_series else (size,)
    if answer is not None and truth is not None:
        try:
            both = [_floats(cells, shape) for cells in (truth, answer)]
            return replace(outcome, truth=both[0], answer=both[1])
        except (TypeError, ValueError):
            pass  # they are no numbers, or another number of them
    both = [_floats(cells, shape) for cells in (outcome.truth, outcome.answer)]
    return replace(outcome, truth=both[0], answer=both[1], in_own_units=False)


def _floats(cells: Array, shape: Sequence[int]) -> Array:
    """Cells as numbers; a missing one, or a list with a gap, is NaN."""
    if cells.dtype != object:
        return cells.astype(np.float64).reshape(shape)
    gap = np.full(shape[1:], np.nan)
    rows = [gap if is_missing(cell) else np.asarray(cell, np.float64) for cell in cells.tolist()]
    return np.stack(rows).reshape(shape) if rows else np.empty(shape)


def _filled(past: Array) -> Array:
    """Series ``(records, history)`` whose gaps have the value before, or after if there is none."""
    for _ in range(2):
        known = np.where(np.isnan(past), 0, np.arange(past.shape[1]))
        places = np.maximum.accumulate(known, axis=1)
        past = np.take_along_axis(past, places, axis=1)[:, ::-1]
    return np.nan_to_num(past)


def _probability(kind: str, score: Array, has_logits: bool) -> Array | None:
    """Probabilities, of what a network gives; None where that is something else."""
    made = score.astype(np.float32, copy=False)
    if kind == "truth":
        made = made.reshape(len(made))
    if has_logits and kind == "category":
        powers = np.exp(made - made.max(axis=1, keepdims=True))
        made = powers / powers.sum(axis=1, keepdims=True)
    elif has_logits:
        made = np.exp(-np.logaddexp(0, -made))
    return made if ((made >= 0) & (made <= 1)).all() else None


def _classes(
    outcome: Outcome, answer: Array | None, truth: Array | None, seen: dict[int, Any]
) -> Outcome:
    """Classes by their codes; the answer by its label, where it has one that is known."""
    size, kind = len(outcome), outcome.type
    chance = outcome.probability if outcome.probability is not None else outcome.answer
    target = outcome.truth
    if kind == "multi_category":
        codes, chosen = target > 0.5, chance >= 0.5
    elif kind == "truth":
        codes, chosen = target.reshape(size).astype(int), (chance.reshape(size) >= 0.5).astype(int)
    else:
        is_one_hot = target.size > size
        codes = target.argmax(axis=1) if is_one_hot else target.reshape(size).astype(int)
        chosen = chance.argmax(axis=1)
    outcome = replace(outcome, truth=codes, answer=chosen)
    if answer is None or truth is None or answer.ndim > 1:
        return replace(outcome, in_own_units=False)
    if kind == "multi_category":
        answered = _indicators(answer, outcome.labels)
        return replace(outcome, answer=answered, in_own_units=bool(outcome.labels))
    for code, first in zip(*np.unique(codes, return_index=True), strict=True):
        if not is_missing(cell := truth[first]):
            seen[int(code)] = cell
    by_label = {label: code for code, label in enumerate(outcome.labels)}
    by_label |= {label: code for code, label in seen.items()}
    pairs = zip(answer.tolist(), chosen.tolist(), strict=True)
    try:
        found = [by_label.get(label, code) for label, code in pairs]
    except TypeError:  # no labels, but lists or dicts
        return replace(outcome, in_own_units=False)
    is_told = any(label in by_label for label in answer.tolist())
    return replace(outcome, answer=np.array(found, int), in_own_units=is_told or not size)


def _indicators(lists: Iterable[Any], labels: Sequence[Any]) -> Array:
    """Lists of labels as ``(records, labels) bool``."""
    places = {label: place for place, label in enumerate(labels)}
    rows = [[places[label] for label in cell or () if label in places] for cell in lists]
    made = np.zeros((len(rows), len(labels)), bool)
    for row, chosen in zip(made, rows, strict=True):
        row[chosen] = True
    return made
