"""Which columns a loader reads, found by watching it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from barrage_mlflow.dataset.types import Record


def _reads_one(name: str, demanded: bool) -> Callable[..., Any]:
    """A method of dict that reads a key, which it demands unless it is given a default."""
    method = getattr(dict, name)

    @wraps(method)
    def read(self: WatchedRecord, key: Any, *default: Any) -> Any:
        self.read(key, demanded=demanded and not default)
        return method(self, key, *default)

    return read


def _reads_all(name: str) -> Callable[..., Any]:
    """A method of dict that reads every key at once."""
    method = getattr(dict, name)

    @wraps(method)
    def read(self: WatchedRecord) -> Any:
        self.read(*dict.keys(self), demanded=True)
        return method(self)

    return read


class WatchedRecord(dict[str, Any]):
    """A record that keeps which of its keys are read, and which of them it must have for that.

    Args:
        record: the record.
        demanded: what other records are watched with, to go on with; left out, a new dict.

    Attributes:
        demanded: by key that was read, whether it was demanded, as ``record[key]`` does.
        last: the key that was read last; None before the first, and after all at once.

    Example:
        >>> record = WatchedRecord({"a": 1, "b": 2})
        >>> _ = record["a"], record.get("b")
        >>> record.demanded
        {'a': True, 'b': False}
    """

    def __init__(self, record: Record, demanded: dict[Any, bool] | None = None) -> None:
        super().__init__(record)
        self.demanded = {} if demanded is None else demanded
        self.last: Any = None

    def read(self, *keys: Any, demanded: bool) -> None:
        """Remember that these keys were read."""
        for key in keys:
            self.demanded[key] = demanded or self.demanded.get(key, False)
        self.last = keys[0] if len(keys) == 1 else None

    __getitem__ = _reads_one("__getitem__", demanded=True)
    __contains__ = _reads_one("__contains__", demanded=False)
    get = _reads_one("get", demanded=False)
    pop = _reads_one("pop", demanded=True)
    setdefault = _reads_one("setdefault", demanded=False)
    __iter__ = _reads_all("__iter__")
    keys = _reads_all("keys")
    values = _reads_all("values")
    items = _reads_all("items")
    copy = _reads_all("copy")


def column_read_last(load: Callable[[Record], Any], record: Record) -> str | None:
    """The column after which loading a record fails; None if that does not show.

    Example:
        >>> column_read_last(lambda record: [record["a"], float(record["b"])], {"a": 1, "b": "x"})
        'b'
    """
    watched = WatchedRecord(record)
    with suppress(Exception):  # it failed before
        load(watched)
    return watched.last if watched.last in record else None
