"""The columns that loading reads, and what is in them."""

from __future__ import annotations

import numpy as np

from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.places import component_name, set_record
from barrage_mlflow.dataset.components.reading import WatchedRecord
from barrage_mlflow.dataset.records.column_specs import ColumnSpec
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Record

SAMPLE = 256
"""Records that are loaded to learn which columns that reads."""


def columns_read(loader: RecordLoader, records: Records, samples: int = 50) -> dict[str, bool]:
    """The columns that loading reads, in the order of the records' columns.

    Found by watching ``load`` on records spread evenly over the set.

    Args:
        loader: the loader, in the mode that is asked about.
        records: what it loads.
        samples: on how many records to watch it, at most.

    Returns:
        By name, whether the loader ever demands it, as ``record[name]`` does and
        ``record.get(name)`` does not.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.SCORE, {"x": ["c", "a"]}, {"y": "b"})
        >>> columns_read(loader, Records.read([{"a": 1, "b": 2, "c": 3}]))
        {'a': True, 'c': True}
    """
    demanded: dict[str, bool] = {}
    count = min(samples, len(records))
    for position in np.linspace(0, len(records) - 1, count).astype(int).tolist():
        try:
            loader.load(WatchedRecord(records[position], demanded))
        except Exception as error:
            set_record(error, records, position, "load", component_name(loader))
            raise
    return {name: demanded[name] for name in records.columns if name in demanded}


def describe_columns(loader: RecordLoader, records: Records) -> list[ColumnSpec]:
    """Which columns loading reads in the loader's mode, and what is in them.

    Args:
        loader: in SCORE mode.
        records: train records; all are searched for missing values.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.SCORE, {"x": "a"}, {"y": "b"})
        >>> describe_columns(loader, Records.read([{"a": 1, "b": 0}]))
        [ColumnSpec(name='a', type='integer', required=True)]
    """
    scanned = records.scan().columns
    specs = []
    for name, demanded in columns_read(loader, records[:SAMPLE]).items():
        column = scanned[name]
        optional = column.missing or (not demanded and _loads_without(loader, records[0], name))
        specs.append(ColumnSpec(name, column.type, required=not optional))
    return specs


def _loads_without(loader: RecordLoader, record: Record, name: str) -> bool:
    try:
        loader.load({**record, name: None})
    except Exception:  # whatever it raises, it needs the value
        return False
    return True
