"""Reads Parquet files and folders: whole, or their first records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

_BUFFER = 1 << 16
"""Bytes that are read at once."""


def read(source: str, limit: int | None = None) -> tuple[pd.DataFrame, bool]:
    """Read a file or folder.

    Args:
        source: a path, or a URL that fsspec opens.
        limit: how many records to read, and little more than their bytes; all if left out.

    Returns:
        The records, and whether the limit left some unread.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pd.DataFrame({"a": [1, 2, 3]}).to_parquet(f"{folder}/train.parquet")
        ...     frame, more = read(f"{folder}/train.parquet", limit=2)
        >>> frame["a"].tolist(), more
        ([1, 2], True)
    """
    import pandas as pd

    if limit is None:
        return pd.read_parquet(source), False

    import pyarrow as pa
    import pyarrow.parquet as pq

    dataset = _dataset(source)
    tables: list[pa.Table] = []
    gaps: set[str] = set()
    held = 0
    for fragment in dataset.get_fragments():
        with (
            fragment.open() as handle,
            # Arrow would rather read a row group at once, which may be the whole of the file.
            pq.ParquetFile(handle, buffer_size=_BUFFER, pre_buffer=False) as file,
        ):
            if held < limit:
                tables.append(_conform(_head(file, limit - held), fragment, dataset.schema))
                gaps |= _gaps(file.metadata, dataset.schema)
            held += file.metadata.num_rows
        if held > limit:
            break
    table = _widen(pa.concat_tables(tables), gaps)
    return table.replace_schema_metadata(dataset.schema.metadata).to_pandas(), held > limit


def _dataset(source: str) -> ds.FileSystemDataset:
    import fsspec
    import pyarrow.dataset as ds

    files, path = fsspec.core.url_to_fs(source)
    # Keys in the names of folders are columns, as pandas has it.
    keys = ds.HivePartitioning.discover(infer_dictionary=True) if files.isdir(path) else None
    return ds.dataset(path, filesystem=files, format="parquet", partitioning=keys)


def _head(file: pq.ParquetFile, limit: int) -> pa.Table:
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    # A batch may be short, at the end of a row group.
    for batch in file.iter_batches(batch_size=limit):
        batches.append(batch)
        if sum(map(len, batches)) >= limit:
            break
    return pa.Table.from_batches(batches, file.schema_arrow).slice(0, limit)


def _conform(table: pa.Table, fragment: ds.ParquetFileFragment, schema: pa.Schema) -> pa.Table:
    """A file's records with the columns of the whole folder."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    keys: dict[str, Any] = ds.get_partition_keys(fragment.partition_expression)

    def column(field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name in table.column_names:
            return table[field.name].cast(field.type)
        of_keys = pa.types.is_dictionary(field.type)
        kind = field.type.value_type if of_keys else field.type
        return pa.repeat(pa.scalar(keys.get(field.name), kind), len(table))

    return pa.table({field.name: column(field) for field in schema})


def _gaps(metadata: pq.FileMetaData, schema: pa.Schema) -> set[str]:
    """The columns of integers that lack a value somewhere in a file, if its footer says so.

    Pandas makes floating-point numbers of the whole of such a column.
    """
    import pyarrow as pa

    def lacks_a_value(index: int) -> bool:
        chunks = [metadata.row_group(g).column(index) for g in range(metadata.num_row_groups)]
        return any(chunk.statistics and chunk.statistics.null_count for chunk in chunks)

    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    return {name for index, name in enumerate(names) if name in integers and lacks_a_value(index)}


def _widen(table: pa.Table, names: set[str]) -> pa.Table:
    import pyarrow as pa

    for name in names:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table[name].cast(pa.float64(), safe=False))
    return table
