"""The row groups of Parquet records, and how to read some of them whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from barrage_mlflow.dataset.records.columns import Rows
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.tables import Range
from barrage_mlflow.errors import RecordError


def row_groups(records: Records) -> list[int] | None:
    """How many of the records each row group of a Parquet file holds, in order.

    None where they are no consecutive records of a Parquet file or folder.

    Example:
        >>> row_groups(Records.read([{"a": 1}]))
    """
    ends = _ends(records)
    return None if ends is None else [last - first for first, last in ends]


def _ends(records: Records) -> list[Range] | None:
    table, rows = records.origin()
    return table.groups(rows) if isinstance(rows, slice) else None


def read_row_groups(
    records: Records,
    groups: Sequence[int],
    counts_key: str | None = None,
    columns: Sequence[str] | None = None,
) -> Records:
    """Read the draws of some row groups at once; nothing of them is kept with the whole.

    Args:
        records: consecutive records of a Parquet file or folder.
        groups: positions in ``row_groups(records)``, in the order in which they are read.
        counts_key: the column that says how often each record is drawn; left out, once.
        columns: what is read; all if left out.

    Raises:
        RecordError: they are no consecutive records of Parquet, there is no such column, or
            a file is damaged.
        IndexError: there is no such row group.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = pd.DataFrame({"a": [1, 2, 3], "n": [2, 0, 1]})
        ...     frame.to_parquet(f"{folder}/train.parquet")
        ...     drawn = read_row_groups(Records.read(f"{folder}/train.parquet"), [0], "n")
        >>> drawn["a"].tolist()
        [1, 1, 3]
    """
    names = [*(records.columns if columns is None else columns)]
    names += [counts_key] if counts_key else []
    records.check_names(names)
    ends = _ends(records)
    if ends is None:
        raise RecordError(
            f"{records.owner}: expected consecutive records of a Parquet file, to be read by "
            "its row groups"
        )
    part = records.origin()[0].select([ends[group] for group in groups])
    part.need(names)
    drawn: Rows = slice(0, part.length)
    if counts_key:
        counts = part.column(counts_key).array(None).astype(np.int64)
        drawn = np.repeat(np.arange(part.length), counts)
    return records.view(part, drawn)
