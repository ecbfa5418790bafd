"""Augmentors: functions that vary train records, each draw repeatable on its own.

The randomness of one call depends on the seed, the epoch, the draw's position in the epoch and
the augmentor's place in the chain, and on nothing else: not on the batch size, on what was
drawn before, or on where a run was resumed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np

from barrage_mlflow.config.import_targets import Accepts
from barrage_mlflow.dataset.components.places import component_name, placed, set_record
from barrage_mlflow.dataset.components.stacking import (
    check_batch,
    check_data_record,
    names_in,
    slice_record,
    stack_records,
)
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Array, DataRecord
from barrage_mlflow.errors import ComponentError

_WORD = 1 << 64


class Augmentor:
    """A function of the config's ``dataset.augmentor`` with its ``params``.

    Args:
        function: called as ``function(data_record, **params)`` on one transformed record
            (arrays ``(...)``, its own to change) and returns it varied. One that has a
            parameter ``rng`` gets a NumPy ``Generator``; the others may draw from NumPy's and
            Python's global generators, which are seeded for each record. With an attribute
            ``batchwise = True`` it is called on many records at once (arrays ``(batch, ...)``,
            of any number); it must treat each by itself, and draw nothing.
        params: keyword arguments of every call.
        name: what messages call it; left out, the path of the function.

    Attributes:
        batchwise: whether it is called on many records at once.
        takes_rng: whether it is given a generator.
        seeds_globals: whether it may draw from the global generators.

    Raises:
        ComponentError: it is batch-wise and takes an ``rng``.

    Example:
        >>> def brighten(data_record, by):
        ...     x, y = data_record
        ...     return ({"image": x["image"] + by}, y)
        >>> x, y = Augmentor(brighten, {"by": 0.5})(({"image": np.zeros(2)}, {"label": 1}))
        >>> x["image"]
        array([0.5, 0.5])
    """

    def __init__(
        self,
        function: Callable[..., DataRecord],
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        self.function = function
        self.params = dict(params or {})
        self.name = component_name(function) if name is None else name
        self.batchwise = bool(getattr(function, "batchwise", False))
        self.takes_rng = "rng" in Accepts.of(function).names and "rng" not in self.params
        self.seeds_globals = not (self.takes_rng or self.batchwise)
        if self.batchwise and self.takes_rng:
            raise ComponentError(
                f"augmentor {self.name}: a batch-wise augmentor takes no rng; drop the parameter, "
                "or the attribute 'batchwise'"
            )

    def __call__(
        self, data_record: DataRecord, rng: np.random.Generator | None = None
    ) -> DataRecord:
        """The varied data record; ``rng`` reaches the function if it takes one."""
        if self.takes_rng:
            return self.function(data_record, **self.params, rng=rng)
        return self.function(data_record, **self.params)


def augment(
    data: DataRecord,
    augmentors: Sequence[Augmentor],
    records: Records,
    *,
    seed: int,
    epoch: int,
    draws: Array,
) -> DataRecord:
    """A batch, put through the augmentors in order.

    Args:
        data: the transformed batch: arrays ``(batch, ...)``; left as it is.
        augmentors: the chain.
        records: what the batch was made of, for messages.
        seed: seeds the draws, together with ``epoch`` and their position in it.
        epoch: counted from 0.
        draws: ``(batch,) int64``, which draw of the epoch each record is, from 0.

    Raises:
        ComponentError: an augmentor returns something other than it was given the like of.
        RecordError: records come out in differing shapes.
    """
    with _global_state(augmentors):
        for batchwise, steps in groupby(enumerate(augmentors), lambda step: step[1].batchwise):
            if not batchwise:
                data = _augment_each(data, list(steps), records, seed, epoch, draws)
                continue
            for _, augmentor in steps:
                with placed(records, "augment", augmentor.name):
                    result = augmentor(tuple(dict(part) for part in data))
                    _check(result, data, augmentor)
                    data = check_batch(result, len(records), f"augmentor {augmentor.name}")
    return data


def _augment_each(
    data: DataRecord,
    steps: Sequence[tuple[int, Augmentor]],
    records: Records,
    seed: int,
    epoch: int,
    draws: Array,
) -> DataRecord:
    """Put each record through augmentors, of which the place in the chain is given."""
    varied = []
    generators = Draws(seed)
    for row, position in enumerate(draws.tolist()):
        record = slice_record(data, row)
        for step, augmentor in steps:
            rng = generators.at(epoch, position, step) if augmentor.takes_rng else None
            if rng is None:
                _seed_globals(seed, epoch, position, step)
            try:
                result = augmentor(record, rng)
                _check(result, record, augmentor)
            except Exception as error:
                set_record(error, records, row, "augment", augmentor.name)
                raise
            record = result
        varied.append(record)
    names = ", ".join(augmentor.name for _, augmentor in steps)
    with placed(records, "augment", names):
        return stack_records(varied, f"augmentor {names}")


class Draws:
    """The randomness of every draw: each a part of one long stream that no other reaches.

    Args:
        seed: the run's seed.

    Example:
        >>> draws = Draws(seed=1)
        >>> first = draws.at(epoch=0, position=5, step=0).random()
        >>> draws.at(epoch=0, position=6, step=0).random() == first
        False
        >>> Draws(seed=1).at(epoch=0, position=5, step=0).random() == first
        True
    """

    def __init__(self, seed: int) -> None:
        # Counter-based: going to a draw is setting a counter, which costs a few microseconds
        # where a generator made anew would cost tens.
        self._bits = np.random.Philox(key=np.array([seed % _WORD, 0], dtype=np.uint64))
        self._generator = np.random.Generator(self._bits)
        self._state: Any = self._bits.state

    def at(self, epoch: int, position: int, step: int) -> np.random.Generator:
        """The generator of one draw, good until the next is asked for.

        Args:
            epoch: counted from 0.
            position: which draw of the epoch, from 0.
            step: the augmentor's place in the chain, from 0.
        """
        counter = np.array([0, step, epoch, position], dtype=np.uint64)
        state: Any = {**self._state, "state": {**self._state["state"], "counter": counter}}
        self._bits.state = state
        return self._generator


def _seed_globals(seed: int, epoch: int, position: int, step: int) -> None:
    word = seed % _WORD
    np.random.seed([word & 0xFFFFFFFF, word >> 32, epoch, position, step])
    random.seed(f"{word} {epoch} {position} {step}")


@contextmanager
def _global_state(augmentors: Sequence[Augmentor]) -> Iterator[None]:
    """Puts the global generators back, if an augmentor may draw from them."""
    if not any(augmentor.seeds_globals for augmentor in augmentors):
        yield
        return
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _check(result: Any, given: DataRecord, augmentor: Augmentor) -> None:
    what = f"augmentor {augmentor.name}"
    check_data_record(result, what, (len(given),))
    if any(part.keys() != before.keys() for part, before in zip(result, given, strict=True)):
        raise ComponentError(f"{what}: expected {names_in(given)}, got {names_in(result)}")
