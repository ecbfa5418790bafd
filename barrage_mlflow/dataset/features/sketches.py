"""What is kept of a column that may be larger than memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from barrage_mlflow.dataset.types import Array

_SAMPLED = 100_000
_COUNTED = 1_000_000


class Moments:
    """Count, mean and deviation of numbers, by the rule of Chan, Golub and LeVeque (1979).

    Example:
        >>> moments = Moments()
        >>> moments.add(np.array([1.0, 2.0]))
        >>> moments.add(np.array([3.0]))
        >>> moments.count, moments.mean, round(moments.deviation, 3)
        (3, 2.0, 0.816)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0
        self.least, self.greatest = math.inf, -math.inf

    def add(self, values: Array) -> None:
        """Take in numbers ``(n,) float64``, none of them NaN."""
        if not values.size:
            return
        share = values.size / (self.count + values.size)
        with np.errstate(over="ignore", invalid="ignore"):  # the deviation is none then
            mean = values.mean()
            self._squares += np.square(values - mean).sum()
            self._squares += np.square(mean - self.mean) * self.count * share
        self.mean += float(mean - self.mean) * share
        self.count += values.size
        self.least = min(self.least, float(values.min()))
        self.greatest = max(self.greatest, float(values.max()))

    def learnt(self) -> dict[str, Any]:
        """Mean and deviation, as JSON values."""
        return {"mean": self.mean, "deviation": self.deviation}

    @property
    def deviation(self) -> float:
        """The standard deviation; 1 where it is 0 or no number, so that it can be divided by."""
        found = math.sqrt(self._squares / self.count) if self.count else 0.0
        return found if 0 < found < math.inf else 1.0


class Sample:
    """A uniform sample of numbers, of all if they are not many; the same for the same numbers.

    Each number gets a random key, and those of the smallest keys stay.

    Example:
        >>> sample = Sample(2)
        >>> sample.add(np.arange(10.0))
        >>> len(sample.values)
        2
    """

    def __init__(self, size: int = _SAMPLED) -> None:
        self._size = size
        self._random = np.random.Generator(np.random.Philox(0))
        self._keys, self._values = np.empty(0), np.empty(0)

    def add(self, values: Array) -> None:
        """Take in numbers ``(n,) float64``."""
        keys = np.concatenate([self._keys, self._random.random(len(values))])
        values = np.concatenate([self._values, values])
        if len(keys) > self._size:
            stay = np.sort(np.argpartition(keys, self._size)[: self._size])
            keys, values = keys[stay], values[stay]
        self._keys, self._values = keys, values

    @property
    def values(self) -> Array:
        """The sample ``(n,) float64``, in ascending order."""
        return np.sort(self._values)


class Counts:
    """How often each word or label occurs; of very many different ones, the rare are forgotten.

    Example:
        >>> counts = Counts()
        >>> counts.add(["b", "a", "b"])
        >>> counts.ranked()
        [('b', 2), ('a', 1)]
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._least = 1

    def add(self, values: Iterable[str]) -> None:
        """Count values."""
        self._counts.update(values)
        while len(self._counts) > _COUNTED:
            self._least += 1
            self._counts = Counter({k: n for k, n in self._counts.items() if n >= self._least})

    def ranked(self, least: int = 1) -> list[tuple[str, int]]:
        """Those that occur ``least`` times or more: by falling count, then by alphabet."""
        found = [(value, count) for value, count in self._counts.items() if count >= least]
        return sorted(found, key=lambda each: (-each[1], each[0]))
